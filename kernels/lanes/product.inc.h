#pragma once
// LaneProduct: tiles of O output channels x T positions whose sums stay in registers. A step of a
// tile loads T registers of input and broadcasts O weights for O x T multiply-adds.

#include "kernels/lanes/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

// The lines of taps that a tile goes through, input channels times rows of the window: two loops,
// the inner one the longer where a window has but one row.
struct Lines {
  std::int64_t outer;
  std::int64_t in_outer;  // floats from one to the next
  std::int64_t weight_outer;
  std::int64_t inner;
  std::int64_t in_inner;
  std::int64_t weight_inner;
};

Lines lines_of(const LaneProduct& p, std::int64_t rows) {
  if (rows == 1) {
    return {.outer = 1,
            .in_outer = 0,
            .weight_outer = 0,
            .inner = p.in_channels,
            .in_inner = p.in_strides.channel,
            .weight_inner = p.weight_in};
  }
  return {.outer = p.in_channels,
          .in_outer = p.in_strides.channel,
          .weight_outer = p.weight_in,
          .inner = rows,
          .in_inner = p.y.tap_step * p.in_strides.row,
          .weight_inner = p.weight_y};
}

struct TileTask {
  const LaneProduct* product;
  const float* in;       // at the tile's first position and first tap, channel 0
  const float* weights;  // of the tile's first output channel at that tap
  const float* bias;
  float* out;
  Lines lines;
  TapRange x;
};

template <int kO, int kT>
struct Sums {
  V at[kO][kT];
};

// One tap of a tile.
template <int kO, int kT>
COPPICE_INLINE void add_tap(Sums<kO, kT>& sums, const float* in, std::int64_t in_step,
                            const float* w, std::int64_t weight_out) {
  // The smaller side stays in registers, the other comes one by one: O * T + min(O, T) + 1 of them.
  if constexpr (kO < kT) {
    V weights[kO];
    COPPICE_UNROLL
    for (int o = 0; o < kO; ++o) weights[o] = all(w[o * weight_out]);
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) {
      const V value = load(in + t * in_step);
      COPPICE_UNROLL
      for (int o = 0; o < kO; ++o) sums.at[o][t] += value * weights[o];
    }
  } else {
    V values[kT];
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) values[t] = load(in + t * in_step);
    COPPICE_UNROLL
    for (int o = 0; o < kO; ++o) {
      const V weight = all(w[o * weight_out]);
      COPPICE_UNROLL
      for (int t = 0; t < kT; ++t) sums.at[o][t] += values[t] * weight;
    }
  }
}

// `taps` is the length of a line of taps, if that is known here; 0: task.x says.
template <int kO, int kT, int kTaps>
void product_tile(const TileTask& task) {
  const LaneProduct& p = *task.product;
  const std::int64_t in_step = p.x.step * p.in_strides.column;
  Sums<kO, kT> sums;
  COPPICE_UNROLL
  for (int o = 0; o < kO; ++o) {
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) {
      if (p.accumulates) {
        sums.at[o][t] = load(task.out + o * p.out_strides.channel + t * p.out_strides.column);
      } else {
        sums.at[o][t] = all(task.bias == nullptr ? 0.0F : task.bias[o]);
      }
    }
  }
  const std::int64_t in_tap = p.x.tap_step * p.in_strides.column;
  const std::int64_t weight_tap = p.weight_x;
  const std::int64_t weight_out = p.weight_out;
  const std::int64_t count = task.x.end - task.x.first;
  const Lines lines = task.lines;
  for (std::int64_t i = 0; i < lines.outer; ++i) {
    const float* in_line = task.in + i * lines.in_outer;
    const float* weight_line = task.weights + i * lines.weight_outer;
    for (std::int64_t j = 0; j < lines.inner; ++j) {
      const float* in = in_line;
      const float* w = weight_line;
      if constexpr (kTaps > 0) {
        _Pragma("GCC unroll 1") for (int x = 0; x < kTaps; ++x, in += in_tap, w += weight_tap) {
          add_tap(sums, in, in_step, w, weight_out);
        }
      } else {
        for (std::int64_t x = 0; x < count; ++x, in += in_tap, w += weight_tap) {
          add_tap(sums, in, in_step, w, weight_out);
        }
      }
      in_line += lines.in_inner;
      weight_line += lines.weight_inner;
    }
  }
  COPPICE_UNROLL
  for (int o = 0; o < kO; ++o) {
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) {
      const V v = p.has_relu ? relu(sums.at[o][t]) : sums.at[o][t];
      store(task.out + o * p.out_strides.channel + t * p.out_strides.column, v);
    }
  }
}

using Tile = void (*)(const TileTask&);

constexpr int kMostPositions = 4;
constexpr int kMostChannels = 6;

// Line lengths that a tile knows beforehand: of 1x1, 3x3 and 5x5 windows, away from an image's
// edges. 0: any.
constexpr int kLineLengths[] = {0, 1, 3, 5};
constexpr int kLineKinds = 4;

template <int kO, int kT, int kTaps>
constexpr Tile tile_if_it_fits() {
  if constexpr (kO * kT <= kAccumulators) {
    return product_tile<kO, kT, kTaps>;
  } else {
    return nullptr;
  }
}

#define COPPICE_TILE(kO, kT)                                                                  \
  {                                                                                           \
    tile_if_it_fits<kO, kT, 0>(), tile_if_it_fits<kO, kT, 1>(), tile_if_it_fits<kO, kT, 3>(), \
        tile_if_it_fits<kO, kT, 5>()                                                          \
  }
#define COPPICE_TILES(kO) \
  { COPPICE_TILE(kO, 1), COPPICE_TILE(kO, 2), COPPICE_TILE(kO, 3), COPPICE_TILE(kO, 4) }
constexpr Tile kTiles[kMostChannels][kMostPositions][kLineKinds] = {
    COPPICE_TILES(1), COPPICE_TILES(2), COPPICE_TILES(3),
    COPPICE_TILES(4), COPPICE_TILES(5), COPPICE_TILES(6)};
#undef COPPICE_TILES
#undef COPPICE_TILE

COPPICE_INLINE int line_kind(std::int64_t length) {
  for (int kind = 1; kind < kLineKinds; ++kind) {
    if (length == kLineLengths[kind]) return kind;
  }
  return 0;
}

COPPICE_INLINE std::int64_t most_channels(std::int64_t positions) {
  return smaller(kMostChannels, kAccumulators / positions);
}

// Cycles of a tile's step, in halves: two multiply-adds or two loads a cycle, and the latency of a
// multiply-add when there are few of them.
COPPICE_INLINE std::int64_t step_cost(std::int64_t channels, std::int64_t positions) {
  return larger(larger(channels * positions, channels + positions), 8) + 1;
}

// Of `count` things in tiles of at most `most`, as equal as can be.
COPPICE_INLINE std::int64_t tile_count(std::int64_t count, std::int64_t most) {
  return (count + most - 1) / most;
}

COPPICE_INLINE std::int64_t tiling_cost(std::int64_t channels, std::int64_t columns,
                                        std::int64_t positions) {
  const std::int64_t tiles = tile_count(channels, most_channels(positions));
  const std::int64_t full = columns / positions;
  const std::int64_t rest = columns % positions;
  std::int64_t cost = 0;
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t size = (i + 1) * channels / tiles - i * channels / tiles;
    cost += full * step_cost(size, positions);
    if (rest > 0) cost += step_cost(size, rest);
  }
  return cost;
}

std::int64_t best_positions(std::int64_t channels, std::int64_t columns) {
  std::int64_t best = 1;
  for (std::int64_t positions = 2; positions <= kMostPositions; ++positions) {
    if (tiling_cost(channels, columns, positions) < tiling_cost(channels, columns, best)) {
      best = positions;
    }
  }
  return best;
}

// All output channels at `count` positions from (y, x) on.
void product_at(const LaneProduct& p, std::int64_t y, std::int64_t x, std::int64_t count,
                std::int64_t tiles) {
  const TapRange rows = taps_of(p.y, y, 1);
  const TapRange columns = taps_of(p.x, x, count);
  TileTask task{
      .product = &p,
      .in = p.in + (y * p.y.step + p.y.origin + rows.first * p.y.tap_step) * p.in_strides.row +
            (x * p.x.step + p.x.origin + columns.first * p.x.tap_step) * p.in_strides.column,
      .weights = p.weights + rows.first * p.weight_y + columns.first * p.weight_x,
      .bias = p.bias,
      .out = p.out + y * p.out_strides.row + x * p.out_strides.column,
      .lines = lines_of(p, larger(0, rows.end - rows.first)),
      .x = columns};
  const int kind = line_kind(columns.end - columns.first);
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t first = i * p.out_channels / tiles;
    const std::int64_t size = (i + 1) * p.out_channels / tiles - first;
    kTiles[size - 1][count - 1][kind](task);
    task.weights += size * p.weight_out;
    if (task.bias != nullptr) task.bias += size;
    task.out += size * p.out_strides.channel;
  }
}

void product(const LaneProduct& p) {
  const std::int64_t positions = best_positions(p.out_channels, p.x.outputs);
  const std::int64_t tiles = tile_count(p.out_channels, most_channels(positions));
  for (std::int64_t y = 0; y < p.y.outputs; ++y) {
    for (std::int64_t x = 0; x < p.x.outputs; x += positions) {
      product_at(p, y, x, smaller(positions, p.x.outputs - x), tiles);
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
