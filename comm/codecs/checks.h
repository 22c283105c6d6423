#pragma once
// What every codec refuses, with the same words. Pure; any thread may call them.

#include <cmath>        // for isfinite
#include <cstdint>      // for uint64_t
#include <span>         // for span
#include <string_view>  // for string_view

#include "core/error.h"
#include "core/text.h"
#include "kernels/codes.h"

namespace coppice {

// Throws WireError naming the first value that is not finite.
inline void expect_finite(std::string_view codec, std::span<const float> values) {
  if (kernels::all_finite(values.data(), std::ssize(values))) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw WireError(
        text("codec ", codec, ": expected finite values, got ", values[i], " at index ", i));
  }
}

// Throws WireError unless a frame holds as many values as its reader expects.
inline void expect_count(std::string_view codec, std::uint64_t expected, std::uint64_t got) {
  if (got != expected)
    throw WireError(text("codec ", codec, ": expected ", expected, " values, got ", got));
}

// The scale of a block. Throws WireError unless it is finite and at least 0.
inline float expect_scale(std::string_view codec, float scale, std::size_t block) {
  if (std::isfinite(scale) && scale >= 0.0F) return scale;
  throw WireError(text("codec ", codec, ": expected a finite scale of at least 0, got ", scale,
                       " in block ", block));
}

}  // namespace coppice
