#pragma once
// Norms of images with their channels innermost, and values onto a grid.

#include "kernels/integer/finish.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

struct Scaled {
  using Task = Affine;
  COPPICE_INLINE Floats scaled(const Task& task, Floats value) { return value / all(task.scale); }
};

// All pixels of kRegs registers of channels. What lies behind the last pixel's is not read.
template <int kRegs>
COPPICE_INLINE void affine_column(const Affine& task, std::int64_t channel) {
  Floats means[kRegs];
  Floats factors[kRegs];
  Floats bias[kRegs];
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) {
    means[r] = load_floats(task.means + channel + r * kLanes);
    factors[r] = load_floats(task.factors + channel + r * kLanes);
    bias[r] = load_floats(task.bias + channel + r * kLanes);
  }
  const std::int64_t left = task.channels - channel;
  const float* from = task.input + channel;
  float last[kRegs * kLanes] = {};
  for (std::int64_t pixel = 0; pixel < task.pixels; ++pixel, from += task.channels) {
    Floats values[kRegs];
    const float* read = from;
    if (left < kRegs * kLanes && pixel + 1 == task.pixels) {
      store_some(from, left, last);
      read = last;
    }
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r)
      values[r] = (load_floats(read + r * kLanes) - means[r]) * factors[r] + bias[r];
    put_pixel<Scaled, kRegs>(task, values, channel, pixel, task.values == task.input);
  }
}

void affine(const Affine& given) {
  const Affine task = given;
  std::int64_t channel = 0;
  for (; task.channels - channel > kLanes; channel += 2 * kLanes) affine_column<2>(task, channel);
  if (channel < task.channels) affine_column<1>(task, channel);
}

using Doubles = double __attribute__((vector_size(4 * kLanes)));
using HalfFloats = float __attribute__((vector_size(2 * kLanes)));
constexpr std::int64_t kDoubles = kLanes / 2;

// Four neighbouring registers of doubles at a time: sums under way hide each other's latency.
template <int kRegs>
COPPICE_INLINE void moments_column(const Moments& task, std::int64_t channel) {
  Doubles sums[kRegs] = {};
  Doubles squares[kRegs] = {};
  const float* from = task.input + channel;
  for (std::int64_t pixel = 0; pixel < task.pixels; ++pixel, from += task.channels) {
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) {
      const auto values = __builtin_convertvector(load<HalfFloats>(from + r * kDoubles), Doubles);
      sums[r] += values;
      squares[r] += values * values;
    }
  }
  __builtin_memcpy(task.sums + channel, sums, sizeof sums);
  __builtin_memcpy(task.squares + channel, squares, sizeof squares);
}

void moments(const Moments& task) {
  std::int64_t channel = 0;
  for (; channel + 4 * kDoubles <= task.channels; channel += 4 * kDoubles)
    moments_column<4>(task, channel);
  for (; channel + kDoubles <= task.channels; channel += kDoubles) moments_column<1>(task, channel);
  for (; channel < task.channels; ++channel) {
    double sum = 0.0;
    double squares = 0.0;
    for (std::int64_t pixel = 0; pixel < task.pixels; ++pixel) {
      const auto value = static_cast<double>(task.input[pixel * task.channels + channel]);
      sum += value;
      squares += value * value;
    }
    task.sums[channel] = sum;
    task.squares[channel] = squares;
  }
}

void quantize(const Quantization& given) {
  const Quantization task = given;
  Product ends;
  ends.zero_point = task.zero_point;
  ends.low_code = task.low_code;
  ends.high_code = task.high_code;
  constexpr std::int64_t kWhole = 2 * kLanes;
  float last[kWhole] = {};
  for (std::int64_t at = 0; at < task.count; at += kWhole) {
    const std::int64_t left = task.count - at;
    const float* from = task.values + at;
    if (left < kWhole) {
      store_some(from, left, last);
      from = last;
    }
    Floats values[2];
    COPPICE_UNROLL
    for (int r = 0; r < 2; ++r) values[r] = load_floats(from + r * kLanes) / all(task.scale);
    if (left >= kWhole) {
      put_codes<2>(values, ends, task.codes + at);
    } else {
      std::uint8_t some[kWhole];
      put_codes<2>(values, ends, some);
      store_some(some, left, task.codes + at);
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
