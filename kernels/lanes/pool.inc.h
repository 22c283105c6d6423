#pragma once
// Maximum and average over windows, channel by channel.

#include "kernels/lanes/elementwise.inc.h"
#include "kernels/lanes/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

// Calls visit(offset of the output, first row, end row, first column, end column) for every window
// of a channel, clipped to the image.
template <typename Visit>
COPPICE_INLINE void each_window(const LanePool& pool, const Visit& visit) {
  for (std::int64_t y = 0; y < pool.y.outputs; ++y) {
    const std::int64_t top = y * pool.y.step + pool.y.origin;
    for (std::int64_t x = 0; x < pool.x.outputs; ++x) {
      const std::int64_t left = x * pool.x.step + pool.x.origin;
      visit(y * pool.out_strides.row + x * pool.out_strides.column, larger(0, top),
            smaller(pool.y.inputs, top + pool.y.taps), larger(0, left),
            smaller(pool.x.inputs, left + pool.x.taps));
    }
  }
}

void max_pool(const LanePool& pool, const float* in, float* out) {
  const ImageStrides strides = pool.in_strides;
  for (std::int64_t c = 0; c < pool.channels; ++c) {
    const float* image = in + c * strides.channel;
    float* to = out + c * pool.out_strides.channel;
    each_window(pool, [&](std::int64_t at, std::int64_t top, std::int64_t bottom, std::int64_t left,
                          std::int64_t right) {
      V largest = load(image + top * strides.row + left * strides.column);
      for (std::int64_t y = top; y < bottom; ++y) {
        for (std::int64_t x = left; x < right; ++x) {
          const V v = load(image + y * strides.row + x * strides.column);
          largest = v <= largest ? largest : v;  // NaN wins
        }
      }
      store(to + at, largest);
    });
  }
}

COPPICE_INLINE void clear(float* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) store(to + i, V{});
}

// Whether every input is in exactly one window, so that a gradient can be written where others are
// summed.
COPPICE_INLINE bool is_partition(const WindowAxis& axis) {
  return axis.origin == 0 && axis.step == axis.taps && axis.outputs * axis.step == axis.inputs;
}

void max_pool_gradient(const LanePool& pool, const float* in, const float* out,
                       const float* out_gradient, bool accumulates, float* in_gradient) {
  const ImageStrides strides = pool.in_strides;
  const bool adds = accumulates || !is_partition(pool.y) || !is_partition(pool.x);
  if (adds && !accumulates) clear(in_gradient, pool.channels * pool.y.inputs * pool.x.inputs);
  for (std::int64_t c = 0; c < pool.channels; ++c) {
    const float* image = in + c * strides.channel;
    float* to = in_gradient + c * strides.channel;
    const std::int64_t base = c * pool.out_strides.channel;
    each_window(pool, [&](std::int64_t at, std::int64_t top, std::int64_t bottom, std::int64_t left,
                          std::int64_t right) {
      const V largest = load(out + base + at);
      V rest = load(out_gradient + base + at);
      for (std::int64_t y = top; y < bottom; ++y) {
        for (std::int64_t x = left; x < right; ++x) {
          const std::int64_t i = y * strides.row + x * strides.column;
          const auto is_it = load(image + i) == largest;
          put(to + i, is_it ? rest : V{}, adds);
          rest = is_it ? V{} : rest;
        }
      }
    });
  }
}

void average_pool(const LanePool& pool, const float* in, float* out) {
  const ImageStrides strides = pool.in_strides;
  const float share = 1.0F / static_cast<float>(pool.y.taps * pool.x.taps);
  for (std::int64_t c = 0; c < pool.channels; ++c) {
    const float* image = in + c * strides.channel;
    float* to = out + c * pool.out_strides.channel;
    each_window(pool, [&](std::int64_t at, std::int64_t top, std::int64_t bottom, std::int64_t left,
                          std::int64_t right) {
      V sum{};
      for (std::int64_t y = top; y < bottom; ++y) {
        V row{};
        for (std::int64_t x = left; x < right; ++x)
          row += load(image + y * strides.row + x * strides.column);
        sum += row;
      }
      store(to + at, sum * share);
    });
  }
}

void average_pool_gradient(const LanePool& pool, const float* out_gradient, bool accumulates,
                           float* in_gradient) {
  const ImageStrides strides = pool.in_strides;
  const float share = 1.0F / static_cast<float>(pool.y.taps * pool.x.taps);
  if (!accumulates) clear(in_gradient, pool.channels * pool.y.inputs * pool.x.inputs);
  for (std::int64_t c = 0; c < pool.channels; ++c) {
    float* to = in_gradient + c * strides.channel;
    const std::int64_t base = c * pool.out_strides.channel;
    each_window(pool, [&](std::int64_t at, std::int64_t top, std::int64_t bottom, std::int64_t left,
                          std::int64_t right) {
      const V gradient = load(out_gradient + base + at) * share;
      for (std::int64_t y = top; y < bottom; ++y) {
        for (std::int64_t x = left; x < right; ++x) {
          const std::int64_t i = y * strides.row + x * strides.column;
          store(to + i, load(to + i) + gradient);
        }
      }
    });
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
