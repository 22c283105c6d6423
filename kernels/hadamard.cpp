#include "kernels/hadamard.h"

#include <bit>  // for bit_cast

#include "kernels/clones.h"

namespace coppice::kernels {
namespace {

// Eight floats as one value, which the compiler keeps in one register or two; Unaligned is the same
// in an array. Left to itself it does not find the shuffles within a register: 4.6 GB/s instead of
// 6.6 for 4,096 floats with AVX2.
using Floats = float __attribute__((vector_size(32)));
using Unaligned = float __attribute__((vector_size(32), aligned(4), may_alias));

// All inlined, or they would keep to the instructions of every machine. By reference, because a
// function that takes such values has another signature on every machine.
[[gnu::always_inline]] inline void sum_and_difference(Floats& a, Floats& b) {
  const Floats sum = a + b;
  b = a - b;
  a = sum;
}

// Distances 1, 2 and 4.
[[gnu::always_inline]] inline void transform_within(Floats& v) {
  Floats a = __builtin_shufflevector(v, v, 0, 0, 2, 2, 4, 4, 6, 6);
  Floats b = __builtin_shufflevector(v, v, 1, 1, 3, 3, 5, 5, 7, 7);
  sum_and_difference(a, b);
  v = __builtin_shufflevector(a, b, 0, 9, 2, 11, 4, 13, 6, 15);
  a = __builtin_shufflevector(v, v, 0, 1, 0, 1, 4, 5, 4, 5);
  b = __builtin_shufflevector(v, v, 2, 3, 2, 3, 6, 7, 6, 7);
  sum_and_difference(a, b);
  v = __builtin_shufflevector(a, b, 0, 1, 10, 11, 4, 5, 14, 15);
  a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 0, 1, 2, 3);
  b = __builtin_shufflevector(v, v, 4, 5, 6, 7, 4, 5, 6, 7);
  sum_and_difference(a, b);
  v = __builtin_shufflevector(a, b, 0, 1, 2, 3, 12, 13, 14, 15);
}

// Distances 1 and 2 in units of `stride` registers: two levels for one trip through memory.
template <bool kWithin>
[[gnu::always_inline]] inline void transform_four(Unaligned* p, std::int64_t stride) {
  Floats v[4] = {p[0], p[stride], p[2 * stride], p[3 * stride]};
  if constexpr (kWithin) {
    for (Floats& eight : v) transform_within(eight);
  }
  sum_and_difference(v[0], v[1]);
  sum_and_difference(v[2], v[3]);
  sum_and_difference(v[0], v[2]);
  sum_and_difference(v[1], v[3]);
  for (std::int64_t k = 0; k < 4; ++k) p[k * stride] = v[k];
}

}  // namespace

COPPICE_CLONES
void walsh_hadamard(float* values, std::int64_t n) {
  auto* registers = reinterpret_cast<Unaligned*>(values);
  const std::int64_t count = n / 8;
  for (std::int64_t i = 0; i < count; i += 4) transform_four<true>(registers + i, 1);
  std::int64_t h = 4;
  for (; 4 * h <= count; h *= 4) {
    for (std::int64_t i = 0; i < count; i += 4 * h) {
      for (std::int64_t j = i; j < i + h; ++j) transform_four<false>(registers + j, h);
    }
  }
  if (h == count) return;
  for (std::int64_t j = 0; j < h; ++j) {
    Floats a = registers[j];
    Floats b = registers[j + h];
    sum_and_difference(a, b);
    registers[j] = a;
    registers[j + h] = b;
  }
}

COPPICE_CLONES
void flip_signs(const std::uint32_t* words, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; i += 32) {
    const std::uint32_t word = words[i / 32];
    for (std::uint32_t j = 0; j < 32; ++j) {
      const std::uint32_t sign = (word << (31U - j)) & 0x80000000U;
      values[i + j] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(values[i + j]) ^ sign);
    }
  }
}

}  // namespace coppice::kernels
