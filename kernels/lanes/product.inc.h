// LaneProduct: tiles of O output channels x T positions whose sums stay in registers. A step of a
// tile loads T registers of input and broadcasts O weights for O x T multiply-adds.

namespace coppice::kernels {
namespace {

struct TileTask {
  const LaneProduct* product;
  const float* in;       // at the tile's first position, channel 0, tap (0, 0)
  const float* weights;  // of the tile's first output channel
  const float* bias;
  float* out;
  TapRange y;
  TapRange x;
};

template <int O, int T>
void product_tile(const TileTask& task) {
  const LaneProduct& p = *task.product;
  const std::int64_t in_step = p.x.step * p.in_strides.column;
  V sums[O][T];
  COPPICE_UNROLL
  for (int o = 0; o < O; ++o) {
    COPPICE_UNROLL
    for (int t = 0; t < T; ++t) {
      if (p.accumulates) {
        sums[o][t] = load(task.out + o * p.out_strides.channel + t * p.out_strides.column);
      } else {
        sums[o][t] = all(task.bias == nullptr ? 0.0F : task.bias[o]);
      }
    }
  }
  const std::int64_t in_row = p.y.tap_step * p.in_strides.row;
  const std::int64_t in_column = p.x.tap_step * p.in_strides.column;
  const std::int64_t weight_out = p.weight_out;
  for (std::int64_t c = 0; c < p.in_channels; ++c) {
    for (std::int64_t y = task.y.first; y < task.y.end; ++y) {
      const float* in = task.in + c * p.in_strides.channel + y * in_row + task.x.first * in_column;
      const float* w =
          task.weights + c * p.weight_in + y * p.weight_y + task.x.first * p.weight_x;
      for (std::int64_t x = task.x.first; x < task.x.end; ++x) {
        V values[T];
        COPPICE_UNROLL
        for (int t = 0; t < T; ++t) values[t] = load(in + t * in_step);
        COPPICE_UNROLL
        for (int o = 0; o < O; ++o) {
          const V weight = all(w[o * weight_out]);
          COPPICE_UNROLL
          for (int t = 0; t < T; ++t) sums[o][t] += values[t] * weight;
        }
        in += in_column;
        w += p.weight_x;
      }
    }
  }
  COPPICE_UNROLL
  for (int o = 0; o < O; ++o) {
    COPPICE_UNROLL
    for (int t = 0; t < T; ++t) {
      const V v = p.has_relu ? relu(sums[o][t]) : sums[o][t];
      store(task.out + o * p.out_strides.channel + t * p.out_strides.column, v);
    }
  }
}

using Tile = void (*)(const TileTask&);

constexpr int kMostPositions = 4;
constexpr int kMostChannels = 6;

template <int O, int T>
constexpr Tile tile_if_it_fits() {
  if constexpr (O * T <= kAccumulators) {
    return product_tile<O, T>;
  } else {
    return nullptr;
  }
}

#define COPPICE_TILES(O) \
  {tile_if_it_fits<O, 1>(), tile_if_it_fits<O, 2>(), tile_if_it_fits<O, 3>(), tile_if_it_fits<O, 4>()}
constexpr Tile kTiles[kMostChannels][kMostPositions] = {COPPICE_TILES(1), COPPICE_TILES(2),
                                                        COPPICE_TILES(3), COPPICE_TILES(4),
                                                        COPPICE_TILES(5), COPPICE_TILES(6)};
#undef COPPICE_TILES

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

void product(const LaneProduct& p) {
  const std::int64_t positions = best_positions(p.out_channels, p.x.outputs);
  const std::int64_t tiles = tile_count(p.out_channels, most_channels(positions));
  for (std::int64_t y = 0; y < p.y.outputs; ++y) {
    const float* in_row = p.in + (y * p.y.step + p.y.origin) * p.in_strides.row;
    float* out_row = p.out + y * p.out_strides.row;
    const TapRange rows = taps_of(p.y, y, 1);
    for (std::int64_t x = 0; x < p.x.outputs; x += positions) {
      const std::int64_t count = smaller(positions, p.x.outputs - x);
      TileTask task{.product = &p,
                    .in = in_row + (x * p.x.step + p.x.origin) * p.in_strides.column,
                    .weights = p.weights,
                    .bias = p.bias,
                    .out = out_row + x * p.out_strides.column,
                    .y = rows,
                    .x = taps_of(p.x, x, count)};
      for (std::int64_t i = 0; i < tiles; ++i) {
        const std::int64_t first = i * p.out_channels / tiles;
        const std::int64_t size = (i + 1) * p.out_channels / tiles - first;
        kTiles[size - 1][count - 1](task);
        task.weights += size * p.weight_out;
        if (task.bias != nullptr) task.bias += size;
        task.out += size * p.out_strides.channel;
      }
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
