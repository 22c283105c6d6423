#pragma once
// Depthwise products: a register of channels, two taps of them joined in 16-bit pairs, by pixels.

#include "kernels/integer/finish.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

constexpr int kDepthwisePixels = 4;

using Words = std::uint16_t __attribute__((vector_size(2 * kLanes)));

// The channels of two taps: the first's in the low half of each 32 bits.
COPPICE_INLINE Sums join(const std::int16_t* first, const std::int16_t* second) {
  const Sums low = __builtin_convertvector(load<Words>(first), Sums);
  const Sums high = __builtin_convertvector(load<Words>(second), Sums);
  return low | high << 16;
}

// Two registers of channels of two taps, joined as add_products() takes them.
struct Joined {
  Sums low, high;
};

#if defined(__AVX2__) && !defined(__AVX512BW__)
COPPICE_INLINE __m256i load_words(const std::int16_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// Unpacking works within halves of registers: channels 0 to 3 and 8 to 11 are low.
COPPICE_INLINE Joined join_two(const std::int16_t* first, const std::int16_t* second) {
  const __m256i a = load_words(first);
  const __m256i b = load_words(second);
  return {as_sums(_mm256_unpacklo_epi16(a, b)), as_sums(_mm256_unpackhi_epi16(a, b))};
}

// From the order of channels to join_two()'s, and back.
COPPICE_INLINE Joined reordered(Sums first, Sums second) {
  const __m256i a = as_register(first);
  const __m256i b = as_register(second);
  return {as_sums(_mm256_permute2x128_si256(a, b, 0x20)),
          as_sums(_mm256_permute2x128_si256(a, b, 0x31))};
}
#else
COPPICE_INLINE Joined join_two(const std::int16_t* first, const std::int16_t* second) {
  return {join(first, second), join(first + kLanes, second + kLanes)};
}

COPPICE_INLINE Joined reordered(Sums first, Sums second) { return {first, second}; }
#endif

// Two registers of channels.
template <typename Kind, int kPixels>
void depthwise_pair(const DepthwiseProduct& task, std::int64_t channel, std::int64_t pixel) {
  Joined sums[kPixels] = {};
  const std::int8_t* weights = task.weights + channel * Kind::kWeights;
  const std::int16_t* input = task.input + pixel * task.pixel_step + channel;
  for (std::int64_t tap = 0; tap < task.taps; tap += 2) {
    const std::int16_t* first = input + task.offsets[tap];
    const std::int16_t* second = input + task.offsets[tap + 1];
    const Joined of_taps =
        reordered(Kind::weights(weights), Kind::weights(weights + kLanes * Kind::kWeights));
    COPPICE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      const std::int64_t at = p * task.pixel_step;
      const Joined both = join_two(first + at, second + at);
      sums[p].low = add_products(sums[p].low, both.low, of_taps.low);
      sums[p].high = add_products(sums[p].high, both.high, of_taps.high);
    }
    weights += task.channels * Kind::kWeights;
  }
  Sums done[2 * kPixels];
  COPPICE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    const Joined ordered = reordered(sums[p].low, sums[p].high);
    done[2 * p] = ordered.low;
    done[2 * p + 1] = ordered.high;
  }
  finish<Kind, 2>(task, done, channel, pixel, kPixels);
}

// One register of channels.
template <typename Kind, int kPixels>
void depthwise_single(const DepthwiseProduct& task, std::int64_t channel, std::int64_t pixel) {
  Sums sums[kPixels] = {};
  const std::int8_t* weights = task.weights + channel * Kind::kWeights;
  const std::int16_t* input = task.input + pixel * task.pixel_step + channel;
  for (std::int64_t tap = 0; tap < task.taps; tap += 2) {
    const std::int16_t* first = input + task.offsets[tap];
    const std::int16_t* second = input + task.offsets[tap + 1];
    const Sums of_taps = Kind::weights(weights);
    COPPICE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      const std::int64_t at = p * task.pixel_step;
      sums[p] = add_products(sums[p], join(first + at, second + at), of_taps);
    }
    weights += task.channels * Kind::kWeights;
  }
  Sums done[kPixels];  // sums whose address is taken do not stay in registers
  COPPICE_UNROLL
  for (int p = 0; p < kPixels; ++p) done[p] = sums[p];
  finish<Kind, 1>(task, done, channel, pixel, kPixels);
}

template <typename Kind, int kRegs, int... kLess>
COPPICE_INLINE void depthwise_column(const DepthwiseProduct& task, std::int64_t channel,
                                     std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const DepthwiseProduct&, std::int64_t, std::int64_t);
  constexpr Tile kTiles[] = {
      (kRegs == 2 ? depthwise_pair<Kind, kLess + 1> : depthwise_single<Kind, kLess + 1>)...};
  for_tiles<sizeof...(kLess)>(task.pixels, [&](std::int64_t pixel, std::int64_t pixels) {
    kTiles[pixels - 1](task, channel, pixel);
  });
}

template <typename Kind>
COPPICE_INLINE void all_channels(const DepthwiseProduct& task) {
  constexpr auto kPixels = std::make_integer_sequence<int, kDepthwisePixels>{};
  std::int64_t channel = 0;
  for (; task.channels - channel > kLanes; channel += 2 * kLanes)
    depthwise_column<Kind, 2>(task, channel, kPixels);
  if (channel < task.channels) depthwise_column<Kind, 1>(task, channel, kPixels);
}

void depthwise_product(const DepthwiseProduct& task) {
  task.bits == 4 ? all_channels<IntegersOfFourBits>(task) : all_channels<Integers>(task);
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
