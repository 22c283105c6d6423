#pragma once
// LaneProduct: tiles of O output channels x T positions.

#include "kernels/lanes/registers.inc.h"
#include "kernels/lanes/tile.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

// Input channels times rows of the window, the inner loop the longer where a window has but one
// row.
Lines lines_of(const LaneProduct& p, std::int64_t rows) {
  if (rows == 1) {
    return {.outer = 1,
            .vector_outer = 0,
            .scalar_outer = 0,
            .inner = p.in_channels,
            .vector_inner = p.in_strides.channel,
            .scalar_inner = p.weight_in};
  }
  return {.outer = p.in_channels,
          .vector_outer = p.in_strides.channel,
          .scalar_outer = p.weight_in,
          .inner = rows,
          .vector_inner = p.y.tap_step * p.in_strides.row,
          .scalar_inner = p.weight_y};
}

// Cycles of a tile's step, in halves: two multiply-adds or two loads a cycle, and the latency of a
// multiply-add when there are few of them.
COPPICE_INLINE std::int64_t step_cost(std::int64_t channels, std::int64_t positions) {
  return larger(larger(channels * positions, channels + positions), 8) + 1;
}

COPPICE_INLINE std::int64_t tiling_cost(std::int64_t channels, std::int64_t columns,
                                        std::int64_t positions) {
  const std::int64_t tiles = tile_count(channels, most_scalars(positions));
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
  for (std::int64_t positions = 2; positions <= kMostVectors; ++positions) {
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
      .vectors = p.in + (y * p.y.step + p.y.origin + rows.first * p.y.tap_step) * p.in_strides.row +
                 (x * p.x.step + p.x.origin + columns.first * p.x.tap_step) * p.in_strides.column,
      .vector_step = p.x.step * p.in_strides.column,
      .vector_tap = p.x.tap_step * p.in_strides.column,
      .scalars = p.weights + rows.first * p.weight_y + columns.first * p.weight_x,
      .scalar_step = p.weight_out,
      .scalar_tap = p.weight_x,
      .start_scalars = p.bias,
      .start_vectors = nullptr,
      .out = p.out + y * p.out_strides.row + x * p.out_strides.column,
      .out_scalar = p.out_strides.channel,
      .out_vector = p.out_strides.column,
      .lines = lines_of(p, larger(0, rows.end - rows.first)),
      .taps = columns.end - columns.first,
      .accumulates = p.accumulates,
      .has_relu = p.has_relu};
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t first = i * p.out_channels / tiles;
    const std::int64_t size = (i + 1) * p.out_channels / tiles - first;
    run_tile(size, count, task);
    task.scalars += size * p.weight_out;
    if (task.start_scalars != nullptr) task.start_scalars += size;
    task.out += size * p.out_strides.channel;
  }
}

void product(const LaneProduct& p) {
  const std::int64_t positions = best_positions(p.out_channels, p.x.outputs);
  const std::int64_t tiles = tile_count(p.out_channels, most_scalars(positions));
  for (std::int64_t y = 0; y < p.y.outputs; ++y) {
    for (std::int64_t x = 0; x < p.x.outputs; x += positions) {
      product_at(p, y, x, smaller(positions, p.x.outputs - x), tiles);
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
