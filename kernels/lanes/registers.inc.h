#pragma once
// One register of lanes, for the instruction set that COPPICE_LANES and the compiler's flags say.
// Included, like all *.inc.h here, into one translation unit an instruction set. Everything has
// internal linkage and nothing comes from the standard library's templates: an inline function that
// the linker shares would carry this unit's instructions into programs for older CPUs.

#include <cstdint>

#include "kernels/lanes/lanes.h"

namespace coppice::kernels {
namespace {

constexpr int kLanes = COPPICE_LANES;
// Accumulators that a tile may hold: what 16 (AVX-512: 32) registers leave beside operands.
constexpr int kAccumulators = kLanes == 16 ? 24 : 12;

using V = float __attribute__((vector_size(kLanes * 4), may_alias));
using Unaligned = float __attribute__((vector_size(kLanes * 4), may_alias, aligned(4)));
using Indices = std::int32_t __attribute__((vector_size(kLanes * 4), may_alias));

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

COPPICE_INLINE V from_neighbour(V v, int distance) {
  Indices to;
  COPPICE_UNROLL
  for (int i = 0; i < kLanes; ++i) to[i] = i ^ distance;
  return __builtin_shuffle(v, to);
}

COPPICE_INLINE float sum_of_lanes(V v) {
  COPPICE_UNROLL
  for (int distance = kLanes / 2; distance > 0; distance /= 2) v += from_neighbour(v, distance);
  return v[0];
}

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
