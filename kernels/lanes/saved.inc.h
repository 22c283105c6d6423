#pragma once
// What a backward pass needs of values that are not kept: fields of a few bits or codes of eight.
// Register i of the values is field i % (32 / bits) of word register i / (32 / bits), lane by lane.

#include "kernels/lanes/pool.inc.h"
#include "kernels/lanes/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

using Words = std::uint32_t __attribute__((vector_size(kLanes * 4), may_alias));
using Integers = std::int32_t __attribute__((vector_size(kLanes * 4), may_alias));

constexpr std::int64_t kSignsAWord = 32;
constexpr std::int64_t kCodesAWord = 4;
constexpr float kLargestCode = 255.0F;

COPPICE_INLINE Words load_words(const std::uint32_t* p) {
  return *reinterpret_cast<const Words*>(p);
}
COPPICE_INLINE void store_words(std::uint32_t* p, Words v) { *reinterpret_cast<Words*>(p) = v; }

void pack_between(const float* in, std::int64_t n, float low, float high, std::uint32_t* words) {
  for (std::int64_t first = 0; first < n; first += kSignsAWord) {
    const std::int64_t count = smaller(kSignsAWord, n - first);
    Words word{};
    for (std::int64_t b = 0; b < count; ++b) {
      const V x = load(in + (first + b) * kLanes);
      const auto is_outside = (x <= all(low)) | (x >= all(high));
      word |= reinterpret_cast<Words>(~is_outside) & (std::uint32_t{1} << b);
    }
    store_words(words + first / kSignsAWord * kLanes, word);
  }
}

void pass_between(const std::uint32_t* words, const float* out_gradient, std::int64_t n,
                  float slope, bool accumulates, float* in_gradient) {
  for (std::int64_t first = 0; first < n; first += kSignsAWord) {
    const std::int64_t count = smaller(kSignsAWord, n - first);
    const Words word = load_words(words + first / kSignsAWord * kLanes);
    for (std::int64_t b = 0; b < count; ++b) {
      const std::int64_t at = (first + b) * kLanes;
      const auto is_between = (word & (std::uint32_t{1} << b)) != 0;
      const V g = load(out_gradient + at);
      put(in_gradient + at, is_between ? g : g * slope, accumulates);
    }
  }
}

void to_codes(const float* in, std::int64_t n, float* bounds, std::uint32_t* words) {
  V lowest = load(in);
  V highest = lowest;
  V probe{};  // NaN where a value is not finite
  for (std::int64_t i = 0; i < n; ++i) {
    const V x = load(in + i * kLanes);
    lowest = x < lowest ? x : lowest;
    highest = x > highest ? x : highest;
    probe += x * 0.0F;
  }
  const V span = highest - lowest;
  const V codes_a_unit = span > V{} ? kLargestCode / span : V{};
  store(bounds, lowest);
  store(bounds + kLanes, span / kLargestCode + probe);
  for (std::int64_t first = 0; first < n; first += kCodesAWord) {
    const std::int64_t count = smaller(kCodesAWord, n - first);
    Words word{};
    for (std::int64_t b = 0; b < count; ++b) {
      const V code = (load(in + (first + b) * kLanes) - lowest) * codes_a_unit + 0.5F;
      const V at_most = code <= all(kLargestCode) ? code : all(kLargestCode);  // NaN: the largest
      word |= reinterpret_cast<Words>(__builtin_convertvector(at_most, Integers))
              << static_cast<std::uint32_t>(8 * b);
    }
    store_words(words + first / kCodesAWord * kLanes, word);
  }
}

void from_codes(const std::uint32_t* words, const float* bounds, std::int64_t n, float* out) {
  const V lowest = load(bounds);
  const V step = load(bounds + kLanes);
  for (std::int64_t first = 0; first < n; first += kCodesAWord) {
    const std::int64_t count = smaller(kCodesAWord, n - first);
    const Words word = load_words(words + first / kCodesAWord * kLanes);
    for (std::int64_t b = 0; b < count; ++b) {
      const Words code = (word >> static_cast<std::uint32_t>(8 * b)) & std::uint32_t{255};
      store(out + (first + b) * kLanes,
            lowest + __builtin_convertvector(reinterpret_cast<Integers>(code), V) * step);
    }
  }
}

// Where a window's field is.
struct Field {
  std::int64_t word;
  std::uint32_t shift;
};

COPPICE_INLINE Field field_of(std::int64_t element, std::int64_t bits) {
  const std::int64_t a_word = 32 / bits;
  const std::int64_t i = element / kLanes;
  return {i / a_word * kLanes, static_cast<std::uint32_t>(i % a_word * bits)};
}

void max_pool_winners(const LanePool& pool, const float* in, const float* out, std::int64_t bits,
                      std::uint32_t* words) {
  const ImageStrides strides = pool.in_strides;
  for (std::int64_t c = 0; c < pool.channels; ++c) {
    const float* image = in + c * strides.channel;
    const std::int64_t base = c * pool.out_strides.channel;
    each_window(pool, [&](std::int64_t at, std::int64_t top, std::int64_t bottom, std::int64_t left,
                          std::int64_t right) {
      const V largest = load(out + base + at);
      Words winner{};
      Words open = ~Words{};
      std::uint32_t position = 0;
      for (std::int64_t y = top; y < bottom; ++y) {
        for (std::int64_t x = left; x < right; ++x) {
          const V v = load(image + y * strides.row + x * strides.column);
          const Words is_it = reinterpret_cast<Words>(v == largest) & open;
          winner |= is_it & position++;
          open &= ~is_it;
        }
      }
      const Field field = field_of(base + at, bits);
      const Words before = field.shift == 0 ? Words{} : load_words(words + field.word);
      store_words(words + field.word, before | (winner << field.shift));
    });
  }
}

void max_pool_gradient_to(const LanePool& pool, const std::uint32_t* words, std::int64_t bits,
                          const float* out_gradient, bool accumulates, float* in_gradient) {
  const ImageStrides strides = pool.in_strides;
  const bool adds = accumulates || !is_partition(pool.y) || !is_partition(pool.x);
  if (adds && !accumulates) clear(in_gradient, pool.channels * pool.y.inputs * pool.x.inputs);
  const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
  for (std::int64_t c = 0; c < pool.channels; ++c) {
    float* to = in_gradient + c * strides.channel;
    const std::int64_t base = c * pool.out_strides.channel;
    each_window(pool, [&](std::int64_t at, std::int64_t top, std::int64_t bottom, std::int64_t left,
                          std::int64_t right) {
      const Field field = field_of(base + at, bits);
      const Words winner = (load_words(words + field.word) >> field.shift) & mask;
      const V gradient = load(out_gradient + base + at);
      std::uint32_t position = 0;
      for (std::int64_t y = top; y < bottom; ++y) {
        for (std::int64_t x = left; x < right; ++x) {
          const auto is_it = winner == position++;
          put(to + y * strides.row + x * strides.column, is_it ? gradient : V{}, adds);
        }
      }
    });
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
