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
using Fours = std::int64_t __attribute__((vector_size(32), may_alias));
using Words16 = std::int16_t __attribute__((vector_size(32), may_alias));
using Bytes16 = std::int8_t __attribute__((vector_size(16)));
using Bytes8 = std::uint8_t __attribute__((vector_size(8)));

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
#if defined(__AVX2__)
    const auto both = reinterpret_cast<Sums8>(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(block))));
#else
    const Sums8 both = __builtin_convertvector(load<Bytes8>(block), Sums8);
#endif
    const auto apart = reinterpret_cast<Words16>(both | both << 12);
    return reinterpret_cast<Sums8>(apart << 12 >> 12);
  } else {
#if defined(__AVX2__)
    return reinterpret_cast<Sums8>(
        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block))));
#else
    return reinterpret_cast<Sums8>(__builtin_convertvector(load<Bytes16>(block), Words16));
#endif
  }
}

COPPICE_INLINE Sums8 four_to_all(const std::int16_t* four) {
  std::int64_t all_of_them = 0;
  __builtin_memcpy(&all_of_them, four, sizeof all_of_them);
  return reinterpret_cast<Sums8>(all_of_them - Fours{});
}

// Sums of a chunk of 16 output channels, for the pixels of a tile.
using Chunk = std::int32_t[kBlockPixels][kPanelChannels];

// The blocks [0, count) of the four channels from `at` of the chunk on, for kPixels pixels.
template <bool kHasHalves, int kPixels>
void block_tile(const BlockProduct& task, const std::int8_t* weights, const std::int32_t* offsets,
                std::int64_t count, std::int64_t pixel, int at, Chunk& chunk) {
  constexpr std::int64_t kBytes = kHasHalves ? 8 : 16;
  Sums8 sums[kPixels] = {};
  const std::int64_t step = task.pixel_step;
  const std::int16_t* input = task.input + pixel * step;
  std::int64_t b = 0;
  if constexpr (kPixels == 1) {  // four blocks at a time hide each other's latency
    Sums8 more[3] = {};
    for (; b + 4 <= count; b += 4, weights += 4 * kBytes) {
      sums[0] = add_products8(sums[0], four_to_all(input + offsets[b]),
                              block_weights<kHasHalves>(weights));
      COPPICE_UNROLL
      for (int i = 0; i < 3; ++i) {
        more[i] = add_products8(more[i], four_to_all(input + offsets[b + i + 1]),
                                block_weights<kHasHalves>(weights + (i + 1) * kBytes));
      }
    }
    sums[0] += more[0] + more[1] + more[2];
  }
  for (; b < count; ++b, weights += kBytes) {
    const Sums8 of_block = block_weights<kHasHalves>(weights);
    const std::int16_t* from = input + offsets[b];
    COPPICE_UNROLL
    for (int p = 0; p < kPixels; ++p)
      sums[p] = add_products8(sums[p], four_to_all(from + p * step), of_block);
  }
  COPPICE_UNROLL
  for (int p = 0; p < kPixels; p += 2) {
    const Sums8 first = sums[p];
    const Sums8 second = sums[p + 1 < kPixels ? p + 1 : p];
    const Sums8 joined = __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14) +
                         __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15);
    std::int32_t of_two[2][kSide];
    __builtin_memcpy(of_two, &joined, sizeof of_two);
    __builtin_memcpy(chunk[p] + at, of_two[0], sizeof of_two[0]);
    if (p + 1 < kPixels) __builtin_memcpy(chunk[p + 1] + at, of_two[1], sizeof of_two[1]);
  }
}

// Codes or values of a chunk that begins at `channel`.
COPPICE_INLINE void finish_chunk(const BlockProduct& task, const Chunk& chunk, std::int64_t channel,
                                 std::int64_t pixel, int pixels) {
  constexpr int kChunkRegs = kPanelChannels / kLanes;
  constexpr int kAtOnce = kChunkRegs < 2 ? kChunkRegs : 2;
  for (int r = 0; r < kChunkRegs && channel + r * kLanes < task.channels; r += kAtOnce) {
    finish<Integers, kAtOnce, kChunkRegs>(task, reinterpret_cast<const Sums*>(chunk[0]) + r,
                                          channel + r * kLanes, pixel, pixels);
  }
}

template <bool kHasHalves, int... kLess>
COPPICE_INLINE void all_blocks(const BlockProduct& task, std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const BlockProduct&, const std::int8_t*, const std::int32_t*, std::int64_t,
                        std::int64_t, int, Chunk&);
  constexpr Tile kTiles[] = {block_tile<kHasHalves, kLess + 1>...};
  constexpr std::int64_t kBytes = kHasHalves ? 8 : 16;
  const std::int8_t* weights = task.weights;
  const std::int32_t* offsets = task.offsets;
  for (std::int64_t channel = 0; channel < task.channels; channel += kPanelChannels) {
    const std::uint16_t* counts = task.counts + channel / kSide;
    const std::int64_t left = task.channels - channel;
    const int fours = static_cast<int>(left < kPanelChannels ? (left + kSide - 1) / kSide : kSide);
    std::int64_t done = 0;
    for (int four = 0; four < fours; ++four) done += counts[four];
    for_tiles<sizeof...(kLess)>(task.pixels, [&](std::int64_t pixel, std::int64_t pixels) {
      alignas(64) Chunk chunk;
      if (fours < kSide) __builtin_memset(chunk, 0, sizeof chunk);  // whole registers are read
      std::int64_t before = 0;
      for (int four = 0; four < fours; ++four) {
        kTiles[pixels - 1](task, weights + before * kBytes, offsets + before, counts[four], pixel,
                           four * kSide, chunk);
        before += counts[four];
      }
      finish_chunk(task, chunk, channel, pixel, static_cast<int>(pixels));
    });
    weights += done * kBytes;
    offsets += done;
  }
}

void block_product(const BlockProduct& task) {
  constexpr auto kPixels = std::make_integer_sequence<int, kBlockPixels>{};
  task.bits == 4 ? all_blocks<true>(task, kPixels) : all_blocks<false>(task, kPixels);
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
