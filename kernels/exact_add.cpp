#include "kernels/exact_add.h"

#include <bit>      // for bit_width
#include <cmath>    // for sqrt, ldexp
#include <cstring>  // for memcpy

#include "kernels/clones.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // no vector leaves an inlined function

namespace coppice::kernels {
namespace {

// Written with vectors, because one loop that subtracts, squares and adds keeps every value in a
// register, and compilers do not make one out of it.
using Floats = float __attribute__((vector_size(16)));
using Doubles = double __attribute__((vector_size(32)));
using Words = std::uint64_t __attribute__((vector_size(32)));

constexpr std::int64_t kLanes = SquaredLength::kLanes;
constexpr std::int64_t kWidth = 4;
// The processor's own prefetcher stops at every page; arithmetic does not wait for memory with
// this.
constexpr std::int64_t kPrefetchAhead = 1024;  // values, a page of them

template <typename Vector, typename Value>
[[gnu::always_inline]] inline Vector load(const Value* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

// One instruction of it; GCC 12 makes four of __builtin_convertvector.
[[gnu::always_inline]] inline Doubles widen(Floats values) {
  return Doubles{double{values[0]}, double{values[1]}, double{values[2]}, double{values[3]}};
}

// How a weight is multiplied. kOne: not at all. kLight: products of quanta and weight stay below
// 2^51 and are exact as doubles. kHeavy: as integers.
enum class Weighting { kOne, kLight, kHeavy };

// A sum with 1.5 * 2^52 quanta has no bits below the quantum, and its lowest bits are their number.
// Integers wrap, so that what does not fit can be taken back.
struct Grid {
  double shift;
  double weight;
  std::uint64_t integer_weight;
};

Grid grid_of(const ExactTerm& term) {
  return {.shift = std::ldexp(1.5, 52 - term.quantum_bits),
          .weight = static_cast<double>(term.weight),
          .integer_weight = static_cast<std::uint64_t>(term.weight)};
}

template <Weighting kWeighting, typename Word, typename Value>
[[gnu::always_inline]] inline Word quanta(Value value, const Grid& grid) {
  const Value shift = grid.shift - Value{};
  Value shifted = value + shift;
  if constexpr (kWeighting == Weighting::kLight) shifted = (shifted - shift) * grid.weight + shift;
  Word words;
  Word zeros;
  std::memcpy(&words, &shifted, sizeof words);
  std::memcpy(&zeros, &shift, sizeof zeros);
  words -= zeros;
  if constexpr (kWeighting == Weighting::kHeavy) words *= grid.integer_weight;
  return words;
}

template <Weighting kWeighting, bool kTakesBack, typename Word, typename Value>
[[gnu::always_inline]] inline void add(Value value, const Grid& grid, std::int64_t* units) {
  const Word terms = quanta<kWeighting, Word>(value, grid);
  Word sums;
  std::memcpy(&sums, units, sizeof sums);
  sums = kTakesBack ? sums - terms : sums + terms;
  std::memcpy(units, &sums, sizeof sums);
}

template <Weighting kWeighting, bool kTakesBack>
[[gnu::always_inline]] inline void add_all(const float* values, const Grid& of_term, std::int64_t n,
                                           std::int64_t* units) {
  const Grid grid = of_term;  // which stays in registers
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    add<kWeighting, kTakesBack, Words>(widen(load<Floats>(values + i)), grid, units + i);
  for (; i < n; ++i) add<kWeighting, kTakesBack, std::uint64_t>(double{values[i]}, grid, units + i);
}

template <Weighting kWeighting, bool kTakesBack>
[[gnu::always_inline]] inline void add_all_differences(const float* local, const float* global,
                                                       const Grid& of_term, std::int64_t n,
                                                       std::int64_t* units, SquaredLength& length) {
  const Grid grid = of_term;  // which stays in registers
  constexpr std::int64_t kVectors = kLanes / kWidth;
  Doubles squares[kVectors];
  std::memcpy(squares, length.lanes.data(), sizeof squares);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    __builtin_prefetch(local + i + kPrefetchAhead);
    for (std::int64_t k = 0; k < kVectors; ++k) {
      const std::int64_t at = i + k * kWidth;
      const Doubles values = widen(load<Floats>(local + at) - load<Floats>(global + at));
      squares[k] += values * values;
      add<kWeighting, kTakesBack, Words>(values, grid, units + at);
    }
  }
  std::memcpy(length.lanes.data(), squares, sizeof squares);
  for (std::size_t lane = 0; i < n; ++i, ++lane) {
    const double value = double{local[i] - global[i]};
    length.lanes[lane] += value * value;
    add<kWeighting, kTakesBack, std::uint64_t>(value, grid, units + i);
  }
}

// One function of its own a case: the loader chooses among builds of whole functions.
#define COPPICE_CASE(name, weighting, takes_back)                                               \
  COPPICE_CLONES                                                                                \
  void add_##name(const float* values, const Grid& grid, std::int64_t n, std::int64_t* units) { \
    add_all<weighting, takes_back>(values, grid, n, units);                                     \
  }                                                                                             \
  COPPICE_CLONES                                                                                \
  void difference_##name(const float* local, const float* global, const Grid& grid,             \
                         std::int64_t n, std::int64_t* units, SquaredLength& length) {          \
    add_all_differences<weighting, takes_back>(local, global, grid, n, units, length);          \
  }
COPPICE_CASE(one, Weighting::kOne, false)
COPPICE_CASE(light, Weighting::kLight, false)
COPPICE_CASE(heavy, Weighting::kHeavy, false)
COPPICE_CASE(one_back, Weighting::kOne, true)
COPPICE_CASE(light_back, Weighting::kLight, true)
COPPICE_CASE(heavy_back, Weighting::kHeavy, true)
#undef COPPICE_CASE

// Integers give the same bits for every weight; the others are faster where they can be had.
Weighting weighting_of(const ExactTerm& term) {
  if (term.weight == 1) return Weighting::kOne;
  const auto weight_bits =
      static_cast<int>(std::bit_width(static_cast<std::uint64_t>(term.weight)));
  return term.range_bits + term.quantum_bits + weight_bits <= 51 ? Weighting::kLight
                                                                 : Weighting::kHeavy;
}

}  // namespace

double SquaredLength::norm() const {
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return std::sqrt(sum);
}

COPPICE_CLONES
void difference(const float* local, const float* global, std::int64_t n, float* out,
                SquaredLength& length) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = local[i] - global[i];
  double lanes[kLanes];
  std::memcpy(lanes, length.lanes.data(), sizeof lanes);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] += double{out[i + lane]} * double{out[i + lane]};
  }
  for (std::int64_t lane = 0; i < n; ++i, ++lane) lanes[lane] += double{out[i]} * double{out[i]};
  std::memcpy(length.lanes.data(), lanes, sizeof lanes);
}

void exact_add(const float* values, const ExactTerm& term, std::int64_t n, std::int64_t* units) {
  const Grid grid = grid_of(term);
  switch (weighting_of(term)) {
    case Weighting::kOne:
      return (term.takes_back ? add_one_back : add_one)(values, grid, n, units);
    case Weighting::kLight:
      return (term.takes_back ? add_light_back : add_light)(values, grid, n, units);
    case Weighting::kHeavy:
      return (term.takes_back ? add_heavy_back : add_heavy)(values, grid, n, units);
  }
}

void exact_add_difference(const float* local, const float* global, const ExactTerm& term,
                          std::int64_t n, std::int64_t* units, SquaredLength& length) {
  const Grid grid = grid_of(term);
  switch (weighting_of(term)) {
    case Weighting::kOne:
      return (term.takes_back ? difference_one_back : difference_one)(local, global, grid, n, units,
                                                                      length);
    case Weighting::kLight:
      return (term.takes_back ? difference_light_back : difference_light)(local, global, grid, n,
                                                                          units, length);
    case Weighting::kHeavy:
      return (term.takes_back ? difference_heavy_back : difference_heavy)(local, global, grid, n,
                                                                          units, length);
  }
}

}  // namespace coppice::kernels
