#pragma once
// One register of lanes, for the instruction set that COPPICE_LANES and the compiler's flags say.
// Included, like all *.inc.h here, into one translation unit an instruction set. Everything has
// internal linkage and nothing comes from the standard library's templates: an inline function that
// the linker shares would carry this unit's instructions into programs for older CPUs.

#include <cstdint>
#include <utility>

#include "kernels/lanes/lanes.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

constexpr std::int64_t kLanes = COPPICE_LANES;
// Accumulators that a tile may hold: what 16 (AVX-512: 32) registers leave beside operands.
constexpr int kAccumulators = kLanes == 16 ? 24 : 12;

using V = float __attribute__((vector_size(kLanes * 4), may_alias));
using Unaligned = float __attribute__((vector_size(kLanes * 4), may_alias, aligned(4)));

#define COPPICE_INLINE static inline __attribute__((always_inline))
#define COPPICE_UNROLL _Pragma("GCC unroll 32")

COPPICE_INLINE V load(const float* p) { return *reinterpret_cast<const V*>(p); }
COPPICE_INLINE void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
COPPICE_INLINE V load_unaligned(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
COPPICE_INLINE void store_unaligned(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
COPPICE_INLINE V all(float x) { return x - V{}; }

// NaN stays NaN.
COPPICE_INLINE V relu(V v) { return v < V{} ? V{} : v; }

COPPICE_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
COPPICE_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

using Lanes = std::make_integer_sequence<int, kLanes>;

// Lane l of the result is lane Choice::of(l) of (a, b), b's lanes counted on from a's.
template <typename Choice, int... kL>
COPPICE_INLINE V choose(V a, V b, std::integer_sequence<int, kL...>) {
  return __builtin_shufflevector(a, b, Choice::of(kL)...);
}

template <int kDistance>
struct Neighbour {
  static constexpr int of(int l) { return l ^ kDistance; }
};

template <int kDistance>
COPPICE_INLINE float sum_of_pairs(V v) {
  v += choose<Neighbour<kDistance>>(v, v, Lanes{});
  if constexpr (kDistance > 1) {
    return sum_of_pairs<kDistance / 2>(v);
  } else {
    return v[0];
  }
}

COPPICE_INLINE float sum_of_lanes(V v) { return sum_of_pairs<COPPICE_LANES / 2>(v); }

struct TapRange {
  std::int64_t first;
  std::int64_t end;
};

// The taps at which outputs [p, p + count) meet at least one input.
COPPICE_INLINE TapRange taps_of(const WindowAxis& axis, std::int64_t p, std::int64_t count) {
  const std::int64_t low = p * axis.step + axis.origin;  // input at tap 0
  const std::int64_t high = (p + count - 1) * axis.step + axis.origin;
  if (axis.tap_step > 0) {
    return {larger(0, -high), smaller(axis.taps, axis.inputs - low)};
  }
  return {larger(0, low - axis.inputs + 1), smaller(axis.taps, high + 1)};
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
