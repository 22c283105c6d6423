#pragma once
// Dense products: register tiles of output channels by pixels.

#include "kernels/integer/finish.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

// Registers of channels that one pixel alone takes, so that enough sums are under way.
constexpr int kMostRegs = 8;
constexpr std::int64_t kPanelRegs = kPanelChannels / kLanes;

// Where the weights of kRegs registers of channels are read: one place a panel.
template <typename Weight, int kRegs>
struct Places {
  static constexpr int kPanels = kRegs > kPanelRegs ? kRegs / kPanelRegs : 1;
  const Weight* at[kPanels];
  std::int64_t step[kPanels];
};

template <typename Kind, int kRegs, typename Weight>
COPPICE_INLINE Places<Weight, kRegs> places_of(const typename Kind::Task& task,
                                               const Weight* weights, std::int64_t channel) {
  const std::int64_t of_channel = task.runs * task.steps * Kind::kWeights;
  Places<Weight, kRegs> places;
  COPPICE_UNROLL
  for (int p = 0; p < Places<Weight, kRegs>::kPanels; ++p) {
    const std::int64_t first = channel / kPanelChannels * kPanelChannels + p * kPanelChannels;
    const std::int64_t left = task.channels - first;
    places.at[p] = weights + first * of_channel + (p == 0 ? channel - first : 0) * Kind::kWeights;
    places.step[p] = (left < kPanelChannels ? left : kPanelChannels) * Kind::kWeights;
  }
  return places;
}

template <typename Kind, int kRegs, int kPixels>
COPPICE_INLINE void finish_tile(const typename Kind::Task& task,
                                const typename Kind::Sum (&sums)[kPixels][kRegs],
                                std::int64_t channel, std::int64_t pixel) {
  constexpr int kSums = kPixels * kRegs;
  typename Kind::Sum done[kSums];  // sums whose address is taken do not stay in registers
  COPPICE_UNROLL
  for (int i = 0; i < kSums; ++i) done[i] = sums[i / kRegs][i % kRegs];
  if constexpr (kRegs > 2) {
    for (int c = 0; c < kRegs; c += 2)
      finish<Kind, 2>(task, done + c, channel + c * kLanes, pixel, 1);
  } else {
    finish<Kind, kRegs>(task, done, channel, pixel, kPixels);
  }
}

template <typename Kind, int kRegs, int kPixels>
void tile(const typename Kind::Task& task, std::int64_t channel, std::int64_t pixel) {
  auto places = places_of<Kind, kRegs>(task, task.weights, channel);
  constexpr int kPanels = decltype(places)::kPanels;
  constexpr int kOfPanel = kRegs / kPanels;
  typename Kind::Sum sums[kPixels][kRegs] = {};
  const std::int64_t step = task.pixel_step;
  auto run = task.input + pixel * step;
  for (std::int64_t r = 0; r < task.runs; ++r, run += task.run_step) {
    auto at = run;
    for (std::int64_t s = 0; s < task.steps; ++s, at += Kind::kActivations) {
      if constexpr (kPixels == 1) {  // a weight is used once: it need not stay
        const auto activation = Kind::activation(at);
        COPPICE_UNROLL
        for (int c = 0; c < kRegs; ++c) {
          const auto* from = places.at[c / kOfPanel] + c % kOfPanel * kLanes * Kind::kWeights;
          sums[0][c] = Kind::add(sums[0][c], activation, Kind::weights(from));
        }
      } else {
        typename Kind::Sum of_channels[kRegs];
        COPPICE_UNROLL
        for (int c = 0; c < kRegs; ++c) {
          of_channels[c] =
              Kind::weights(places.at[c / kOfPanel] + c % kOfPanel * kLanes * Kind::kWeights);
        }
        COPPICE_UNROLL
        for (int p = 0; p < kPixels; ++p) {
          const auto activation = Kind::activation(at + p * step);
          COPPICE_UNROLL
          for (int c = 0; c < kRegs; ++c)
            sums[p][c] = Kind::add(sums[p][c], activation, of_channels[c]);
        }
      }
      COPPICE_UNROLL
      for (int p = 0; p < kPanels; ++p) places.at[p] += places.step[p];
    }
  }
  finish_tile<Kind, kRegs, kPixels>(task, sums, channel, pixel);
}

template <typename Kind>
struct Tiles {
  using Task = typename Kind::Task;
  template <int kRegs, int kPixels>
  static constexpr auto* kTile = tile<Kind, kRegs, kPixels>;
};

// All pixels of kRegs registers of channels.
template <typename OfKind, int kRegs, int... kLess>
COPPICE_INLINE void column(const typename OfKind::Task& task, std::int64_t channel,
                           std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const typename OfKind::Task&, std::int64_t, std::int64_t);
  constexpr Tile kTiles[] = {OfKind::template kTile<kRegs, kLess + 1>...};
  for_tiles<sizeof...(kLess)>(task.pixels, [&](std::int64_t pixel, std::int64_t pixels) {
    kTiles[pixels - 1](task, channel, pixel);
  });
}

template <typename OfKind>
COPPICE_INLINE void all_tiles(const typename OfKind::Task& task) {
  for (std::int64_t channel = 0; channel < task.channels;) {
    const std::int64_t regs = (task.channels - channel + kLanes - 1) / kLanes;
    if (task.pixels == 1 && regs >= kMostRegs) {
      OfKind::template kTile<kMostRegs, 1>(task, channel, 0);
      channel += kMostRegs * kLanes;
    } else if (task.pixels == 1 && regs >= 4) {
      OfKind::template kTile<4, 1>(task, channel, 0);
      channel += 4 * kLanes;
    } else if (regs >= 2) {
      column<OfKind, 2>(task, channel, std::make_integer_sequence<int, kMostPixels>{});
      channel += 2 * kLanes;
    } else {
      column<OfKind, 1>(task, channel, std::make_integer_sequence<int, 2 * kMostPixels>{});
      channel += kLanes;
    }
  }
}

void product(const IntegerProduct& task) {
  if (task.bits == 4) return all_tiles<Tiles<IntegersOfFourBits>>(task);
  all_tiles<Tiles<Integers>>(task);
}

void float_product(const FloatProduct& task) { all_tiles<Tiles<Values>>(task); }

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
