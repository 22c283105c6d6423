#pragma once
// ChannelKernels' gradient: a line of a window is a few registers, which stay while one non-zero
// after the other adds its line to them.

#include "kernels/lanes/channels.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

// sum += scales[i] * rows[offsets[i] * pitch], row by row.
struct ScaledRows {
  float* sum;
  const float* rows;
  std::int64_t pitch;
  const std::int32_t* offsets;
  const float* scales;
  std::int64_t count;
};

template <int kN>
void scaled_rows_tile(const ScaledRows& task) {
  V sums[kN];
  COPPICE_UNROLL
  for (int n = 0; n < kN; ++n) sums[n] = load(task.sum + n * kLanes);
  const float* rows = task.rows;
  const std::int64_t pitch = task.pitch;
  for (std::int64_t i = 0; i < task.count; ++i) {
    const V scale = all(task.scales[i]);
    const float* row = rows + task.offsets[i] * pitch;
    COPPICE_UNROLL
    for (int n = 0; n < kN; ++n) sums[n] += load(row + n * kLanes) * scale;
  }
  COPPICE_UNROLL
  for (int n = 0; n < kN; ++n) store(task.sum + n * kLanes, sums[n]);
}

using ScaledRowsTile = void (*)(const ScaledRows&);
constexpr int kMostRegisters = 12;
constexpr ScaledRowsTile kScaledRowsTiles[kMostRegisters] = {
    scaled_rows_tile<1>, scaled_rows_tile<2>,  scaled_rows_tile<3>,  scaled_rows_tile<4>,
    scaled_rows_tile<5>, scaled_rows_tile<6>,  scaled_rows_tile<7>,  scaled_rows_tile<8>,
    scaled_rows_tile<9>, scaled_rows_tile<10>, scaled_rows_tile<11>, scaled_rows_tile<12>};

// Of rows of `registers` registers.
COPPICE_INLINE void add_scaled_rows(ScaledRows task, std::int64_t registers) {
  const std::int64_t tiles = tile_count(registers, kMostRegisters);
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t size = (i + 1) * registers / tiles - i * registers / tiles;
    kScaledRowsTiles[size - 1](task);
    task.sum += size * kLanes;
    task.rows += size * kLanes;
  }
}

// Output rows whose input stays in the first cache while every channel goes over it.
constexpr std::int64_t kStripFloats = 6144;

std::int64_t strip_rows(const Channels& c) {
  const std::int64_t rows = (kStripFloats / c.in_row() - c.taps_y) / c.step_y + 1;
  return smaller(larger(rows / 2 * 2, 2), c.out_rows);  // even: maxima are over two rows
}

std::int64_t strip_positions(const Channels& c) { return strip_rows(c) * c.out_columns; }

// Both lists hold a strip, by_position out_channels entries a position, by_channel a strip's
// positions a channel, and the counts of either behind.
std::int64_t list_size(const Channels& c) {
  return strip_positions(c) * c.out_channels + larger(strip_positions(c), c.out_channels);
}

// A strip of one sample: output rows [first, first + rows).
struct Strip {
  std::int64_t first;
  std::int64_t rows;
  std::int32_t* of_position;  // counts
  std::int32_t* of_channel;
};

// Adds an entry to both lists; without `counts` the next one takes its place.
COPPICE_INLINE void list_entry(const Channels& c, const Strip& strip, const NonZeroLists& lists,
                               std::int64_t capacity, std::int64_t o, std::int64_t y,
                               std::int64_t x, float gradient) {
  const std::int32_t counts = gradient != 0.0F ? 1 : 0;
  const std::int64_t position = y * c.out_columns + x;
  const std::int64_t here = position * c.out_channels + strip.of_position[position];
  lists.by_position[here] = gradient;
  lists.channels[here] = static_cast<std::int32_t>(o);
  strip.of_position[position] += counts;
  const std::int64_t there = o * capacity + strip.of_channel[o];
  lists.by_channel[there] = gradient;
  lists.positions[there] = static_cast<std::int32_t>(y * c.step_y * c.in_columns + x * c.step_x);
  strip.of_channel[o] += counts;
}

// `out_gradient` and `winners`: the strip's.
void list_strip(const Channels& c, const Strip& strip, const float* out_gradient,
                const std::int32_t* winners, const NonZeroLists& lists) {
  const std::int64_t capacity = strip_positions(c);
  for (std::int64_t o = 0; o < c.out_channels; ++o) strip.of_channel[o] = 0;
  for (std::int64_t i = 0; i < strip.rows * c.out_columns; ++i) strip.of_position[i] = 0;
  const std::int64_t step = winners == nullptr ? 1 : 2;
  for (std::int64_t y = 0; y < strip.rows; y += step) {
    for (std::int64_t x = 0; x < c.out_columns; x += step) {
      if (winners == nullptr) {
        for (std::int64_t o = 0; o < c.out_channels; ++o)
          list_entry(c, strip, lists, capacity, o, y, x, out_gradient[o]);
      } else {
        for (std::int64_t o = 0; o < c.out_channels; ++o) {
          list_entry(c, strip, lists, capacity, o, y + winners[o] / 2, x + winners[o] % 2,
                     out_gradient[o]);
        }
        winners += c.out_channels;
      }
      out_gradient += c.out_channels;
    }
  }
}

void add_strip_to_windows(const Channels& c, const Strip& strip, const float* in,
                          const ChannelGradient& g) {
  const std::int64_t capacity = strip_positions(c);
  for (std::int64_t o = 0; o < c.out_channels; ++o) {
    for (std::int64_t y = 0; y < c.taps_y; ++y) {
      add_scaled_rows({.sum = g.windows_gradient + o * c.window() + y * c.line(),
                       .rows = in + y * c.in_row(),
                       .pitch = c.in_channels,
                       .offsets = g.lists.positions + o * capacity,
                       .scales = g.lists.by_channel + o * capacity,
                       .count = strip.of_channel[o]},
                      c.line() / kLanes);
    }
  }
}

void add_strip_to_input(const Channels& c, const Strip& strip, float* in_gradient,
                        const ChannelGradient& g) {
  for (std::int64_t tap = 0; tap < c.taps_y; ++tap) {
    std::int64_t position = 0;
    for (std::int64_t y = 0; y < strip.rows; ++y) {
      float* row = in_gradient + (y * c.step_y + tap) * c.in_row();
      for (std::int64_t x = 0; x < c.out_columns; ++x, ++position) {
        const std::int64_t first = position * c.out_channels;
        add_scaled_rows({.sum = row + x * c.step_x * c.in_channels,
                         .rows = g.windows + tap * c.line(),
                         .pitch = c.window(),
                         .offsets = g.lists.channels + first,
                         .scales = g.lists.by_position + first,
                         .count = strip.of_position[position]},
                        c.line() / kLanes);
      }
    }
  }
}

void channel_gradient(const Channels& c, const ChannelGradient& g) {
  const std::int64_t most = strip_rows(c);
  const std::int64_t entries = strip_positions(c) * c.out_channels;
  const std::int64_t fewer = g.winners == nullptr ? 1 : 4;  // gradients than outputs
  Strip strip{.first = 0,
              .rows = 0,
              .of_position = g.lists.channels + entries,
              .of_channel = g.lists.positions + entries};
  for (std::int64_t sample = 0; sample < g.samples; ++sample) {
    for (strip.first = 0; strip.first < c.out_rows; strip.first += most) {
      strip.rows = smaller(most, c.out_rows - strip.first);
      const std::int64_t in_at = sample * c.in_floats() + strip.first * c.step_y * c.in_row();
      const std::int64_t out_at = (sample * c.out_floats() + strip.first * c.out_row()) / fewer;
      list_strip(c, strip, g.out_gradient + out_at,
                 g.winners == nullptr ? nullptr : g.winners + out_at, g.lists);
      add_strip_to_windows(c, strip, g.in + in_at, g);
      if (g.in_gradient != nullptr) add_strip_to_input(c, strip, g.in_gradient + in_at, g);
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
