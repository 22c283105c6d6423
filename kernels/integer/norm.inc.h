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

// kRegs registers of what is by channel; behind the last channel `other`.
template <int kRegs>
COPPICE_INLINE void load_channels(const float* from, std::int64_t left, float other,
                                  Floats* registers) {
  float some[kRegs * kLanes];
  if (left < kRegs * kLanes) {
    for (float& value : some) value = other;
    store_some(from, left, some);
    from = some;
  }
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) registers[r] = load_floats(from + r * kLanes);
}

// All pixels of kRegs registers of channels. What lies behind the last pixel's is not read, which
// registers of the pixels before it reach too where channels are few. Lanes
// behind the last channel, the next pixel's first ones, keep their values: where output is input
// they are written back. A column alone reads the next pixel before (`kAhead`), which is enough
// where no register reaches the one behind that.
template <int kRegs, bool kAhead>
COPPICE_INLINE void affine_pixels(const Affine& task, std::int64_t channel, bool may_spill) {
  constexpr std::int64_t kWhole = kRegs * kLanes;
  const std::int64_t left = task.channels - channel;
  Floats means[kRegs];
  Floats factors[kRegs];
  Floats bias[kRegs];
  load_channels<kRegs>(task.means + channel, left, 0.0F, means);
  load_channels<kRegs>(task.factors + channel, left, 1.0F, factors);
  load_channels<kRegs>(task.bias + channel, left, 0.0F, bias);
  const float* from = task.input + channel;
  const std::int64_t room = task.pixels * task.channels - channel - kWhole;
  const std::int64_t whole_reads = room < 0 ? 0 : room / task.channels + 1;
  float last[kWhole] = {};
  Floats next[kRegs];
  const auto read = [&](std::int64_t pixel) {
    const float* at = from + pixel * task.channels;
    if (pixel >= whole_reads) {
      store_some(at, left, last);
      at = last;
    }
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) next[r] = load_floats(at + r * kLanes);
  };
  if (kAhead) read(0);
  for (std::int64_t pixel = 0; pixel < task.pixels; ++pixel) {
    if (!kAhead) read(pixel);
    Floats values[kRegs];
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) values[r] = (next[r] - means[r]) * factors[r] + bias[r];
    if (kAhead && pixel + 1 < task.pixels) read(pixel + 1);
    put_pixel<Scaled, kRegs>(task, values, channel, pixel, may_spill);
  }
}

template <int kRegs>
COPPICE_INLINE void affine_column(const Affine& task, std::int64_t channel) {
  constexpr std::int64_t kWhole = kRegs * kLanes;
  const std::int64_t left = task.channels - channel;
  const bool is_read_again = channel == 0 && task.values == task.input;
  if (is_read_again && left < kWhole && 2 * left >= kWhole)
    return affine_pixels<kRegs, true>(task, channel, true);
  affine_pixels<kRegs, false>(task, channel, !is_read_again);
}

// The last column first: what it writes of the next pixels is theirs to write.
void affine(const Affine& given) {
  const Affine task = given;
  const std::int64_t left = task.channels % (2 * kLanes);
  const std::int64_t whole = task.channels - left;
  if (left > kLanes) affine_column<2>(task, whole);
  if (left > 0 && left <= kLanes) affine_column<1>(task, whole);
  for (std::int64_t channel = 0; channel < whole; channel += 2 * kLanes)
    affine_column<2>(task, channel);
}

using Doubles = double __attribute__((vector_size(4 * kLanes)));
using HalfFloats = float __attribute__((vector_size(2 * kLanes)));
constexpr std::int64_t kDoubles = kLanes / 2;

// kRegs neighbouring registers of doubles at a time: sums under way hide each other's latency. The
// last begins earlier where fewer channels are left than it has, and sums some of the others'
// again, to the same bits.
template <int kRegs>
COPPICE_INLINE void moments_column(const Moments& task, std::int64_t channel) {
  Doubles sums[kRegs] = {};
  Doubles squares[kRegs] = {};
  const std::int64_t last = channel + (kRegs - 1) * kDoubles;
  const std::int64_t most = task.channels - kDoubles;
  const std::int64_t back = last > most ? last - most : 0;
  const auto place = [&](int r) { return r * kDoubles - (r + 1 == kRegs ? back : 0); };
  const float* from = task.input + channel;
  for (std::int64_t pixel = 0; pixel < task.pixels; ++pixel, from += task.channels) {
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) {
      const auto values = __builtin_convertvector(load<HalfFloats>(from + place(r)), Doubles);
      sums[r] += values;
      squares[r] += values * values;
    }
  }
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) {
    __builtin_memcpy(task.sums + channel + place(r), &sums[r], sizeof(Doubles));
    __builtin_memcpy(task.squares + channel + place(r), &squares[r], sizeof(Doubles));
  }
}

void moments(const Moments& given) {
  const Moments task = given;
  constexpr std::int64_t kMost = 4 * kDoubles;
  for (std::int64_t channel = 0; task.channels >= kDoubles && channel < task.channels;
       channel += kMost) {
    const std::int64_t left = task.channels - channel;
    if (left > 3 * kDoubles) {
      moments_column<4>(task, channel);
    } else if (left > 2 * kDoubles) {
      moments_column<3>(task, channel);
    } else if (left > kDoubles) {
      moments_column<2>(task, channel);
    } else {
      moments_column<1>(task, channel);
    }
  }
  if (task.channels >= kDoubles) return;
  for (std::int64_t channel = 0; channel < task.channels; ++channel) {
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
