#pragma once
// ChannelKernels forward, and backward for inputs of few channels: tiles of positions (or taps) x
// registers of output channels.

#include "kernels/lanes/tile.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

using Channels = ChannelConvolution;

// Registers of a tile when `left` are to do: as many as leave room for kMostScalars rows.
COPPICE_INLINE std::int64_t next_vectors(std::int64_t left) {
  constexpr std::int64_t kUsual = kAccumulators / kMostScalars;
  constexpr std::int64_t kMost = kUsual < kMostVectors ? kUsual + 1 : kUsual;  // none is left over
  return left <= kMost ? left : kUsual;
}

// Calls visit(first channel, registers) for each tile of output channels.
template <typename Visit>
COPPICE_INLINE void each_tile(const Channels& c, const Visit& visit) {
  std::int64_t vectors = 0;
  for (std::int64_t channel = 0; channel < c.out_channels; channel += vectors * kLanes) {
    vectors = next_vectors((c.out_channels - channel) / kLanes);
    visit(channel, vectors);
  }
}

// A tile's weights lie together: 256 bytes apart they would share a quarter of the cache's sets.
void pack_tiles(const Channels& c, const float* weights, float* tiles) {
  const std::int64_t taps = c.taps_y * c.taps_x;
  each_tile(c, [&](std::int64_t channel, std::int64_t vectors) {
    const std::int64_t width = vectors * kLanes;
    for (std::int64_t out = 0; out < width; ++out) {
      const float* from = weights + (channel + out) * c.window();
      float* to = tiles + channel * c.window() + out;
      for (std::int64_t in = 0; in < c.in_channels; ++in) {
        for (std::int64_t tap = 0; tap < taps; ++tap)
          to[(tap * c.in_channels + in) * width] = from[in * taps + tap];
      }
    }
  });
}

// visit(offset among [out][in][taps_y][taps_x], output channel, offset in its window).
template <typename Visit>
COPPICE_INLINE void each_weight(const Channels& c, const Visit& visit) {
  const std::int64_t taps = c.taps_y * c.taps_x;
  for (std::int64_t out = 0; out < c.out_channels; ++out) {
    for (std::int64_t in = 0; in < c.in_channels; ++in) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        visit((out * c.in_channels + in) * taps + tap, out, tap * c.in_channels + in);
      }
    }
  }
}

void pack_windows(const Channels& c, const float* weights, float* windows) {
  each_weight(c, [&](std::int64_t i, std::int64_t out, std::int64_t at) {
    windows[out * c.window() + at] = weights[i];
  });
}

void add_lines(const Channels& c, const float* lines, float* gradient) {
  each_weight(c, [&](std::int64_t i, std::int64_t out, std::int64_t at) {
    gradient[i] += lines[at * c.out_channels + out];
  });
}

void add_windows(const Channels& c, const float* windows, float* gradient) {
  each_weight(c, [&](std::int64_t i, std::int64_t out, std::int64_t at) {
    gradient[i] += windows[out * c.window() + at];
  });
}

// Runs `task` for `count` rows of scalars, `scalar` and `out` floats apart.
COPPICE_INLINE void run_tiles(TileTask task, std::int64_t vectors, std::int64_t count) {
  const std::int64_t tiles = tile_count(count, most_scalars(vectors));
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t size = (i + 1) * count / tiles - i * count / tiles;
    run_tile(size, vectors, task);
    task.scalars += size * task.scalar_step;
    task.out += size * task.out_scalar;
  }
}

// Of one sample's first output row, first tile.
TileTask convolution_task(const Channels& c, const float* in, const float* tiles, const float* bias,
                          bool has_relu) {
  return {.vectors = tiles,
          .vector_step = kLanes,
          .vector_tap = 0,
          .scalars = in,
          .scalar_step = c.step_x * c.in_channels,
          .scalar_tap = 1,
          .start_scalars = nullptr,
          .start_vectors = bias,
          .out = nullptr,
          .out_scalar = c.out_channels,
          .out_vector = kLanes,
          .lines = {.outer = 1,
                    .vector_outer = 0,
                    .scalar_outer = 0,
                    .inner = c.taps_y,
                    .vector_inner = 0,
                    .scalar_inner = c.in_row()},
          .taps = c.line(),
          .accumulates = false,
          .has_relu = has_relu};
}

// `count` rows of outputs whose inputs `first` says.
void convolve_rows(const Channels& c, const TileTask& first, std::int64_t count, float* out) {
  each_tile(c, [&](std::int64_t channel, std::int64_t vectors) {
    TileTask task = first;
    task.vectors += channel * c.window();
    task.vector_tap = vectors * kLanes;
    task.lines.vector_inner = c.line() * task.vector_tap;
    if (task.start_vectors != nullptr) task.start_vectors += channel;
    task.out = out + channel;
    for (std::int64_t y = 0; y < count; ++y) {
      run_tiles(task, vectors, c.out_columns);
      task.scalars += c.step_y * c.in_row();
      task.out += c.out_row();
    }
  });
}

void convolve(const Channels& c, const float* in, const float* tiles, const float* bias,
              bool has_relu, std::int64_t samples, float* out) {
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    convolve_rows(c, convolution_task(c, in + sample * c.in_floats(), tiles, bias, has_relu),
                  c.out_rows, out + sample * c.out_floats());
  }
}

// Of two rows of outputs.
void pool_rows(const Channels& c, const float* rows, float* out, std::int32_t* winners) {
  using Winner = std::int32_t __attribute__((vector_size(kLanes * 4), may_alias));
  for (std::int64_t x = 0; x < c.out_columns / 2; ++x) {
    for (std::int64_t o = 0; o < c.out_channels; o += kLanes) {
      const float* at = rows + 2 * x * c.out_channels + o;
      const float* places[4] = {at, at + c.out_channels, at + c.out_row(),
                                at + c.out_row() + c.out_channels};
      V largest = load(places[0]);
      Winner winner{};
      COPPICE_UNROLL
      for (int k = 1; k < 4; ++k) {
        const V v = load(places[k]);
        const auto stays = v <= largest;  // NaN wins
        largest = stays ? largest : v;
        winner = stays ? winner : Winner{} + k;
      }
      store(out + x * c.out_channels + o, largest);
      *reinterpret_cast<Winner*>(winners + x * c.out_channels + o) = winner;
    }
  }
}

void convolve_and_pool(const Channels& c, const float* in, const float* tiles, const float* bias,
                       bool has_relu, std::int64_t samples, float* rows, float* out,
                       std::int32_t* winners) {
  const std::int64_t row = c.out_columns / 2 * c.out_channels;
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    TileTask task = convolution_task(c, in + sample * c.in_floats(), tiles, bias, has_relu);
    for (std::int64_t y = 0; y < c.out_rows; y += 2, out += row, winners += row) {
      convolve_rows(c, task, 2, rows);
      pool_rows(c, rows, out, winners);
      task.scalars += 2 * c.step_y * c.in_row();
    }
  }
}

void line_gradient(const Channels& c, const float* in, const float* out_gradient,
                   std::int64_t samples, float* lines_gradient) {
  TileTask task{.vectors = nullptr,
                .vector_step = kLanes,
                .vector_tap = c.out_channels,
                .scalars = nullptr,
                .scalar_step = 1,
                .scalar_tap = c.step_x * c.in_channels,
                .start_scalars = nullptr,
                .start_vectors = nullptr,
                .out = nullptr,
                .out_scalar = c.out_channels,
                .out_vector = kLanes,
                .lines = {.outer = samples,
                          .vector_outer = c.out_floats(),
                          .scalar_outer = c.in_floats(),
                          .inner = c.out_rows,
                          .vector_inner = c.out_row(),
                          .scalar_inner = c.step_y * c.in_row()},
                .taps = c.out_columns,
                .accumulates = false,
                .has_relu = false};
  each_tile(c, [&](std::int64_t channel, std::int64_t vectors) {
    task.vectors = out_gradient + channel;
    for (std::int64_t y = 0; y < c.taps_y; ++y) {
      task.scalars = in + y * c.in_row();
      task.out = lines_gradient + y * c.line() * c.out_channels + channel;
      run_tiles(task, vectors, c.line());
    }
  });
}

void sum_rows(const float* values, std::int64_t rows, std::int64_t channels, float* gradient) {
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    V sums[4] = {};
    std::int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
      COPPICE_UNROLL
      for (int k = 0; k < 4; ++k) sums[k] += load(values + (i + k) * channels + c);
    }
    for (; i < rows; ++i) sums[0] += load(values + i * channels + c);
    store_unaligned(gradient + c,
                    load_unaligned(gradient + c) + ((sums[0] + sums[1]) + (sums[2] + sums[3])));
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
