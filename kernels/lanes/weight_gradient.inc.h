#pragma once
// Gradients of weights. Of a convolution: tiles of O output channels x K taps, summed lane by lane
// over all positions and chunks, then over lanes. Of a matrix: lanes are weights, samples are
// summed one after another.

#include "kernels/lanes/registers.inc.h"
#include "kernels/lanes/tile.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

struct GradientTask {
  const LaneWeightGradient* all;
  const float* in;  // of the tile's first tap: input of output (0, 0), which may lie outside
  const float* out_gradient;
  float* gradient;
  std::int64_t tap_distance;  // floats from one tap's input to the next one's
  std::int64_t gradient_out;  // floats from one output channel's gradient to the next one's
  std::int64_t gradient_tap;
  std::int64_t first_row;  // output rows whose input is one
  std::int64_t end_row;
};

template <int kO, int kK>
void gradient_tile(const GradientTask& task) {
  const LaneWeightGradient& g = *task.all;
  const std::int64_t in_row = g.y.step * g.in_strides.row;
  const std::int64_t in_column = g.x.step * g.in_strides.column;
  V sums[kO][kK] = {};
  for (std::int64_t chunk = 0; chunk < g.chunks; ++chunk) {
    for (std::int64_t y = task.first_row; y < task.end_row; ++y) {
      const float* in = task.in + chunk * g.in_chunk + y * in_row;
      const float* out = task.out_gradient + chunk * g.out_chunk + y * g.out_strides.row;
      for (std::int64_t x = 0; x < g.x.outputs; ++x) {
        V values[kK];
        COPPICE_UNROLL
        for (int k = 0; k < kK; ++k) values[k] = load(in + k * task.tap_distance);
        COPPICE_UNROLL
        for (int o = 0; o < kO; ++o) {
          const V gradient = load(out + o * g.out_strides.channel);
          COPPICE_UNROLL
          for (int k = 0; k < kK; ++k) sums[o][k] += values[k] * gradient;
        }
        in += in_column;
        out += g.out_strides.column;
      }
    }
  }
  COPPICE_UNROLL
  for (int o = 0; o < kO; ++o) {
    COPPICE_UNROLL
    for (int k = 0; k < kK; ++k) {
      task.gradient[o * task.gradient_out + k * task.gradient_tap] += sum_of_lanes(sums[o][k]);
    }
  }
}

using GradientTile = void (*)(const GradientTask&);

constexpr int kMostTaps = 5;
constexpr int kMostGradientChannels = 6;

template <int kO, int kK>
constexpr GradientTile gradient_tile_if_it_fits() {
  if constexpr (kO * kK <= kAccumulators) {
    return gradient_tile<kO, kK>;
  } else {
    return nullptr;
  }
}

#define COPPICE_TILES(kO)                                                     \
  {                                                                           \
    gradient_tile_if_it_fits<kO, 1>(), gradient_tile_if_it_fits<kO, 2>(),     \
        gradient_tile_if_it_fits<kO, 3>(), gradient_tile_if_it_fits<kO, 4>(), \
        gradient_tile_if_it_fits<kO, 5>()                                     \
  }
constexpr GradientTile kGradientTiles[kMostGradientChannels][kMostTaps] = {
    COPPICE_TILES(1), COPPICE_TILES(2), COPPICE_TILES(3),
    COPPICE_TILES(4), COPPICE_TILES(5), COPPICE_TILES(6)};
#undef COPPICE_TILES

// All output channels of one tile of taps.
void gradient_of_taps(const LaneWeightGradient& g, GradientTask task, std::int64_t taps) {
  const std::int64_t most = smaller(kMostGradientChannels, kAccumulators / taps);
  const std::int64_t tiles = tile_count(g.out_channels, most);
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t first = i * g.out_channels / tiles;
    const std::int64_t size = (i + 1) * g.out_channels / tiles - first;
    kGradientTiles[size - 1][taps - 1](task);
    task.out_gradient += size * g.out_strides.channel;
    task.gradient += size * task.gradient_out;
  }
}

// Output rows whose input at tap `ty` exists; steps are positive here.
COPPICE_INLINE TapRange rows_of(const WindowAxis& axis, std::int64_t ty) {
  const std::int64_t at_first = axis.origin + ty;
  const std::int64_t before = at_first < 0 ? (-at_first + axis.step - 1) / axis.step : 0;
  const std::int64_t room = axis.inputs - 1 - at_first;  // the last row's input at most
  return {before, room < 0 ? 0 : smaller(axis.outputs, room / axis.step + 1)};
}

// Tiles run along a row of taps; with one tap a row, along input channels.
void weight_gradient(const LaneWeightGradient& g) {
  const bool along_channels = g.x.taps == 1;
  const std::int64_t area = g.y.taps * g.x.taps;
  const std::int64_t line = along_channels ? g.in_channels : g.x.taps;
  const std::int64_t lines = along_channels ? 1 : g.in_channels;
  const std::int64_t most = along_channels ? 3 : kMostTaps;
  const std::int64_t tiles = tile_count(line, most);
  GradientTask task{.all = &g,
                    .in = nullptr,
                    .out_gradient = g.out_gradient,
                    .gradient = nullptr,
                    .tap_distance = along_channels ? g.in_strides.channel : g.in_strides.column,
                    .gradient_out = g.in_channels * area,
                    .gradient_tap = along_channels ? area : 1,
                    .first_row = 0,
                    .end_row = 0};
  for (std::int64_t c = 0; c < lines; ++c) {
    for (std::int64_t ty = 0; ty < g.y.taps; ++ty) {
      const TapRange rows = rows_of(g.y, ty);
      task.first_row = rows.first;
      task.end_row = rows.end;
      for (std::int64_t i = 0; i < tiles; ++i) {
        const std::int64_t first = i * line / tiles;
        task.in = g.in + c * g.in_strides.channel + (g.y.origin + ty) * g.in_strides.row +
                  g.x.origin * g.in_strides.column + first * task.tap_distance;
        task.gradient = g.gradient + c * area + ty * g.x.taps + first * task.gradient_tap;
        gradient_of_taps(g, task, (i + 1) * line / tiles - first);
      }
    }
  }
}

constexpr int kRowOutputs = 6;

// O output channels x I registers of weights.
template <int kO, int kI>
void rows_tile(const RowsWeightGradient& g, std::int64_t o, std::int64_t i, std::int64_t width) {
  V sums[kO][kI] = {};
  const float* out = g.out_rows + o;
  const float* in = g.in_rows + i;
  for (std::int64_t n = 0; n < g.samples; ++n, out += g.out_channels, in += g.row_pitch) {
    V values[kI];
    COPPICE_UNROLL
    for (int k = 0; k < kI; ++k) values[k] = load_unaligned(in + k * kLanes);
    COPPICE_UNROLL
    for (int r = 0; r < kO; ++r) {
      const V gradient = all(out[r]);
      COPPICE_UNROLL
      for (int k = 0; k < kI; ++k) sums[r][k] += values[k] * gradient;
    }
  }
  COPPICE_UNROLL
  for (int r = 0; r < kO; ++r) {
    float* to = g.gradient + (o + r) * g.gradient_pitch + i;
    COPPICE_UNROLL
    for (int k = 0; k < kI; ++k) {
      const std::int64_t left = width - k * kLanes;
      if (left >= kLanes) {
        const V before = g.accumulates ? load_unaligned(to + k * kLanes) : V{};
        store_unaligned(to + k * kLanes, before + sums[r][k]);
      } else {
        for (std::int64_t l = 0; l < left; ++l) {
          const float before = g.accumulates ? to[k * kLanes + l] : 0.0F;
          to[k * kLanes + l] = before + sums[r][k][l];
        }
      }
    }
  }
}

using RowsTile = void (*)(const RowsWeightGradient&, std::int64_t, std::int64_t, std::int64_t);
constexpr RowsTile kRowsTiles[kRowOutputs] = {rows_tile<1, 2>, rows_tile<2, 2>, rows_tile<3, 2>,
                                              rows_tile<4, 2>, rows_tile<5, 2>, rows_tile<6, 2>};

// row_pitch is a multiple of two registers' lanes: a tile reads both.
void rows_weight_gradient(const RowsWeightGradient& g) {
  const std::int64_t tiles = tile_count(g.out_channels, kRowOutputs);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = tile * g.out_channels / tiles;
    const std::int64_t size = (tile + 1) * g.out_channels / tiles - first;
    for (std::int64_t i = 0; i < g.in_channels; i += 2 * kLanes)
      kRowsTiles[size - 1](g, first, i, g.in_channels - i);
  }
}

void channel_sums(const float* values, std::int64_t channels, std::int64_t area, float* gradient) {
  for (std::int64_t c = 0; c < channels; ++c) {
    V sums[4] = {};
    std::int64_t i = 0;
    for (; i + 4 <= area; i += 4) {
      COPPICE_UNROLL
      for (int k = 0; k < 4; ++k) sums[k] += load(values + (c * area + i + k) * kLanes);
    }
    for (; i < area; ++i) sums[0] += load(values + (c * area + i) * kLanes);
    gradient[c] += sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
