#include "kernels/exact_add.h"

#include <algorithm>  // for all_of
#include <bit>        // for bit_width
#include <cmath>      // for sqrt, ldexp
#include <cstring>    // for memcpy

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

#if defined(__x86_64__)

// Models [0, kModels) in one pass over whole groups of lanes. The shifts of all of them leave the
// sum together. A square has 48 bits, so that a fused multiply-add is as good as two steps; a
// weighted term is made in two, because it has to be taken back by the loops above also where it
// does not fit.
template <std::size_t kModels, bool kIsWeighted>
[[gnu::target("avx512f")]] void add_at_once(ExactDifference* models, const float* global,
                                            std::int64_t begin, std::int64_t end,
                                            std::int64_t* units) {
  constexpr std::int64_t kWide = 8;
  constexpr std::int64_t kVectors = kLanes / kWide;
  const __m512d shift = _mm512_set1_pd(grid_of(models[0].term).shift);
  __m512i shifts = _mm512_setzero_si512();
  __m512d squares[kModels][kVectors];
  __m512d weights[kModels];
  for (std::size_t m = 0; m < kModels; ++m) {
    shifts = _mm512_add_epi64(shifts, _mm512_castpd_si512(shift));
    weights[m] = _mm512_set1_pd(grid_of(models[m].term).weight);
    for (std::int64_t k = 0; k < kVectors; ++k)
      squares[m][k] = _mm512_loadu_pd(models[m].length.lanes.data() + k * kWide);
  }
  for (std::int64_t i = begin; i < end; i += kLanes) {
    for (std::size_t m = 0; m < kModels; ++m)
      __builtin_prefetch(models[m].local + i + kPrefetchAhead, 0, 2);
    for (std::int64_t k = 0; k < kVectors; ++k) {
      const std::int64_t at = i + k * kWide;
      const __m256 from = _mm256_loadu_ps(global + at);
      __m512i sum = _mm512_sub_epi64(_mm512_loadu_si512(units + at), shifts);
      for (std::size_t m = 0; m < kModels; ++m) {
        const __m512d value =
            _mm512_cvtps_pd(_mm256_sub_ps(_mm256_loadu_ps(models[m].local + at), from));
        squares[m][k] = _mm512_fmadd_pd(value, value, squares[m][k]);
        __m512d shifted = _mm512_add_pd(value, shift);
        if constexpr (kIsWeighted) {
          const __m512d weighted = _mm512_mul_pd(_mm512_sub_pd(shifted, shift), weights[m]);
          shifted = _mm512_add_pd(weighted, shift);
        }
        sum = _mm512_add_epi64(sum, _mm512_castpd_si512(shifted));
      }
      _mm512_storeu_si512(units + at, sum);
    }
  }
  for (std::size_t m = 0; m < kModels; ++m) {
    for (std::int64_t k = 0; k < kVectors; ++k)
      _mm512_storeu_pd(models[m].length.lanes.data() + k * kWide, squares[m][k]);
  }
}

template <std::size_t kModels, bool kIsWeighted>
std::span<ExactDifference> add_groups(std::span<ExactDifference> models, const float* global,
                                      std::int64_t begin, std::int64_t end, std::int64_t* units) {
  for (; models.size() >= kModels; models = models.subspan(kModels))
    add_at_once<kModels, kIsWeighted>(models.data(), global, begin, end, units);
  return models;
}

template <bool kIsWeighted>
void add_by_groups(std::span<ExactDifference> models, const float* global, std::int64_t begin,
                   std::int64_t end, std::int64_t* units) {
  auto left = add_groups<8, kIsWeighted>(models, global, begin, end, units);
  left = add_groups<4, kIsWeighted>(left, global, begin, end, units);
  left = add_groups<2, kIsWeighted>(left, global, begin, end, units);
  add_groups<1, kIsWeighted>(left, global, begin, end, units);
}

#endif

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

void exact_add_differences(std::span<ExactDifference> models, const float* global,
                           std::int64_t begin, std::int64_t end, std::int64_t* units) {
#if defined(__x86_64__)
  const auto is = [&](auto... weightings) {
    return std::ranges::all_of(models, [&](const ExactDifference& model) {
      return ((weighting_of(model.term) == weightings) || ...);
    });
  };
  if (__builtin_cpu_supports("avx512f") && is(Weighting::kOne, Weighting::kLight)) {
    const std::int64_t whole = begin + (end - begin) / kLanes * kLanes;
    if (is(Weighting::kOne)) {
      add_by_groups<false>(models, global, begin, whole, units);
    } else {
      add_by_groups<true>(models, global, begin, whole, units);
    }
    begin = whole;
  }
#endif
  for (ExactDifference& model : models) {
    exact_add_difference(model.local + begin, global + begin, model.term, end - begin,
                         units + begin, model.length);
  }
}

}  // namespace coppice::kernels
