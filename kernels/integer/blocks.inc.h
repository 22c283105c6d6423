#pragma once
// Products with weights in 4x4 blocks. A block is one register, [output channel][input channel] in
// 16-bit pairs; a pixel's four activations are repeated for each output channel, so a block costs a
// load, a multiplication and an addition a pixel. Pairs of sums are joined at the end.

#include "kernels/integer/finish.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

constexpr int kSide = 4;
constexpr int kBlockPixels = 8;

// Two sums of each of four output channels; of two pixels one of each.
using Sums8 = std::int32_t __attribute__((vector_size(32), may_alias));
using Floats8 = float __attribute__((vector_size(32), may_alias));
using Sums4 = std::int32_t __attribute__((vector_size(16), may_alias));
using Floats4 = float __attribute__((vector_size(16), may_alias));
using Fours = std::int64_t __attribute__((vector_size(32), may_alias));
using Words16 = std::int16_t __attribute__((vector_size(32), may_alias));
using Bytes16 = std::int8_t __attribute__((vector_size(16), may_alias, aligned(1)));
using Bytes8 = std::uint8_t __attribute__((vector_size(8), may_alias, aligned(1)));

COPPICE_INLINE Sums8 add_products8(Sums8 sums, Sums8 a, Sums8 b) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return reinterpret_cast<Sums8>(_mm256_dpwssd_epi32(
      reinterpret_cast<__m256i>(sums), reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__AVX2__)
  return sums + reinterpret_cast<Sums8>(
                    _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  __m128i x[2];
  __m128i y[2];
  __builtin_memcpy(x, &a, sizeof x);
  __builtin_memcpy(y, &b, sizeof y);
  for (int half = 0; half < 2; ++half) x[half] = _mm_madd_epi16(x[half], y[half]);
  Sums8 products;
  __builtin_memcpy(&products, x, sizeof products);
  return sums + products;
#else
  const Sums8 low = (a << 16 >> 16) * (b << 16 >> 16);
  return sums + low + (a >> 16) * (b >> 16);
#endif
}

template <bool kHasHalves>
COPPICE_INLINE Sums8 block_weights(const std::int8_t* block) {
  if constexpr (kHasHalves) {
    const Sums8 both = __builtin_convertvector(*reinterpret_cast<const Bytes8*>(block), Sums8);
    const auto apart = reinterpret_cast<Words16>(both | both << 12);
    return reinterpret_cast<Sums8>(apart << 12 >> 12);
  } else {
    return reinterpret_cast<Sums8>(
        __builtin_convertvector(*reinterpret_cast<const Bytes16*>(block), Words16));
  }
}

COPPICE_INLINE Sums8 four_to_all(const std::int16_t* four) {
  std::int64_t all_of_them = 0;
  __builtin_memcpy(&all_of_them, four, sizeof all_of_them);
  return reinterpret_cast<Sums8>(all_of_them - Fours{});
}

template <typename T>
COPPICE_INLINE void put_four(const T* from, std::int64_t left, T* to) {
  if (left >= kSide) {
    __builtin_memcpy(to, from, kSide * sizeof(T));
  } else {
    for (std::int64_t i = 0; i < left; ++i) to[i] = from[i];
  }
}

// Of two pixels, four channels from `channel` on; the second is written if there is one.
__attribute__((noinline)) void finish_two(const BlockProduct& task, Sums8 first, Sums8 second,
                                          std::int64_t channel, std::int64_t pixel,
                                          bool has_second) {
  const Sums8 joined = __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14) +
                       __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15);
  Sums4 bias;
  Floats4 multipliers;
  __builtin_memcpy(&bias, task.bias + channel, sizeof bias);
  __builtin_memcpy(&multipliers, task.multipliers + channel, sizeof multipliers);
  const Sums8 total = joined + __builtin_shufflevector(bias, bias, 0, 1, 2, 3, 0, 1, 2, 3);
  const Floats8 values = __builtin_convertvector(total, Floats8) *
                         __builtin_shufflevector(multipliers, multipliers, 0, 1, 2, 3, 0, 1, 2, 3);
  const std::int64_t left = task.channels - channel;
  const std::int64_t at = pixel * task.channels + channel;
  if (task.codes != nullptr) {
    const Sums8 low = task.low_code - Sums8{};
    const Sums8 high = task.high_code - Sums8{};
    const Sums8 sums = rounded<Sums8>(values) + task.zero_point;
    const Sums8 raised = sums < low ? low : sums;
    const auto bytes = __builtin_convertvector(raised > high ? high : raised, Bytes8);
    std::uint8_t codes[2 * kSide];
    __builtin_memcpy(codes, &bytes, sizeof codes);
    put_four(codes, left, task.codes + at);
    if (has_second) put_four(codes + kSide, left, task.codes + at + task.channels);
  } else {
    float some[2 * kSide];
    __builtin_memcpy(some, &values, sizeof some);
    put_four(some, left, task.values + at);
    if (has_second) put_four(some + kSide, left, task.values + at + task.channels);
  }
}

// The blocks [0, count) of one four of channels, for kPixels pixels.
template <bool kHasHalves, int kPixels>
void block_tile(const BlockProduct& task, const std::int8_t* weights, const std::int32_t* offsets,
                std::int64_t count, std::int64_t channel, std::int64_t pixel) {
  constexpr std::int64_t kBytes = kHasHalves ? 8 : 16;
  Sums8 sums[kPixels] = {};
  const std::int64_t step = task.pixel_step;
  const std::int16_t* input = task.input + pixel * step;
  for (std::int64_t b = 0; b < count; ++b, weights += kBytes) {
    const Sums8 of_block = block_weights<kHasHalves>(weights);
    const std::int16_t* at = input + offsets[b];
    COPPICE_UNROLL
    for (int p = 0; p < kPixels; ++p)
      sums[p] = add_products8(sums[p], four_to_all(at + p * step), of_block);
  }
  COPPICE_UNROLL
  for (int p = 0; p < kPixels; p += 2) {
    const bool has_second = p + 1 < kPixels;
    finish_two(task, sums[p], sums[has_second ? p + 1 : p], channel, pixel + p, has_second);
  }
}

template <bool kHasHalves, int... kLess>
COPPICE_INLINE void all_blocks(const BlockProduct& task, std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const BlockProduct&, const std::int8_t*, const std::int32_t*, std::int64_t,
                        std::int64_t, std::int64_t);
  constexpr Tile kTiles[] = {block_tile<kHasHalves, kLess + 1>...};
  constexpr std::int64_t kBytes = kHasHalves ? 8 : 16;
  const std::int8_t* weights = task.weights;
  const std::int32_t* offsets = task.offsets;
  for (std::int64_t channel = 0, four = 0; channel < task.channels; channel += kSide, ++four) {
    const std::int64_t count = task.counts[four];
    for_tiles<sizeof...(kLess)>(task.pixels, [&](std::int64_t pixel, std::int64_t pixels) {
      kTiles[pixels - 1](task, weights, offsets, count, channel, pixel);
    });
    weights += count * kBytes;
    offsets += count;
  }
}

void block_product(const BlockProduct& task) {
  constexpr auto kPixels = std::make_integer_sequence<int, kBlockPixels>{};
  task.bits == 4 ? all_blocks<true>(task, kPixels) : all_blocks<false>(task, kPixels);
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
