#pragma once
// Updates added to exact sums (core/exact_sum.h) in the pass over memory that makes and measures
// them. Nothing here owns memory; any thread may call, on arrays that nobody else writes. Pointers
// need no alignment, and the result's bits do not depend on it.

#include <array>    // for array
#include <cstdint>  // for int64_t
#include <span>     // for span

namespace coppice::kernels {

// The squared length of an update, grown block by block. Blocks before the last are multiples of
// kLanes values, so that the result does not depend on how an update is cut into them.
struct SquaredLength {
  static constexpr std::int64_t kLanes = 16;

  std::array<double, kLanes> lanes{};  // of values i, i + kLanes, ...

  double norm() const;  // not finite if a value was not
};

// out = local - global; its values grow `length`.
void difference(const float* local, const float* global, std::int64_t n, float* out,
                SquaredLength& length);

// What is added to integers: weight * the multiple of 2^-quantum_bits that is nearest to a value,
// half to even. Right if all values are below 2^range_bits in magnitude, range_bits + quantum_bits
// <= 51, and no sum overflows.
struct ExactTerm {
  int range_bits = 0;
  int quantum_bits = 0;
  std::int64_t weight = 1;  // at least 1
  bool takes_back = false;  // subtracts, which undoes the same call without it to the bit, whatever
                            // the values were
};

// units += term of values.
void exact_add(const float* values, const ExactTerm& term, std::int64_t n, std::int64_t* units);

// units += term of local - global, whose values grow `length`.
void exact_add_difference(const float* local, const float* global, const ExactTerm& term,
                          std::int64_t n, std::int64_t* units, SquaredLength& length);

// One of several models that are added at once.
struct ExactDifference {
  const float* local = nullptr;
  ExactTerm term;  // the same quantum_bits for all, takes_back false
  SquaredLength length;
};

// exact_add_difference() of values [begin, end) of every model, to the same bits. With AVX-512 up
// to eight models share one pass: the sums and the global model are read, and the sums written,
// once for all of them.
void exact_add_differences(std::span<ExactDifference> models, const float* global,
                           std::int64_t begin, std::int64_t end, std::int64_t* units);

}  // namespace coppice::kernels
