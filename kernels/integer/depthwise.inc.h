#pragma once
// Depthwise products: a register of channels, two taps of them joined in 16-bit pairs, by pixels.

#include "kernels/integer/finish.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

constexpr int kDepthwisePixels = 4;

using Words = std::uint16_t __attribute__((vector_size(2 * kLanes), may_alias, aligned(2)));

// The channels of two taps: the first's in the low half of each 32 bits.
COPPICE_INLINE Sums join(const std::int16_t* first, const std::int16_t* second) {
  const Sums low = __builtin_convertvector(*reinterpret_cast<const Words*>(first), Sums);
  const Sums high = __builtin_convertvector(*reinterpret_cast<const Words*>(second), Sums);
  return low | high << 16;
}

template <typename Kind, int kRegs, int kPixels>
void depthwise_tile(const DepthwiseProduct& task, std::int64_t channel, std::int64_t pixel) {
  Sums sums[kPixels][kRegs] = {};
  const std::int8_t* weights = task.weights + channel * Kind::kWeights;
  const std::int16_t* input = task.input + pixel * task.pixel_step + channel;
  for (std::int64_t tap = 0; tap < task.taps; tap += 2) {
    const std::int16_t* first = input + task.offsets[tap];
    const std::int16_t* second = input + task.offsets[tap + 1];
    COPPICE_UNROLL
    for (int c = 0; c < kRegs; ++c) {
      const Sums of_taps = Kind::weights(weights + c * kLanes * Kind::kWeights);
      COPPICE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        const std::int64_t at = p * task.pixel_step + c * kLanes;
        sums[p][c] = add_products(sums[p][c], join(first + at, second + at), of_taps);
      }
    }
    weights += task.channels * Kind::kWeights;
  }
  constexpr int kSums = kPixels * kRegs;
  Sums done[kSums];  // sums whose address is taken do not stay in registers
  COPPICE_UNROLL
  for (int i = 0; i < kSums; ++i) done[i] = sums[i / kRegs][i % kRegs];
  finish<Kind, kRegs>(task, done, channel, pixel, kPixels);
}

template <typename Kind, int kRegs, int... kLess>
COPPICE_INLINE void depthwise_column(const DepthwiseProduct& task, std::int64_t channel,
                                     std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const DepthwiseProduct&, std::int64_t, std::int64_t);
  constexpr Tile kTiles[] = {depthwise_tile<Kind, kRegs, kLess + 1>...};
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
