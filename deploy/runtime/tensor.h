#pragma once
// A tensor at work: fp32 values or codes on a grid, somewhere in the interpreter's arena. Internal.

#include <cstdint>  // for int64_t
#include <cstring>  // for memcpy

#include "deploy/runtime/program.h"

namespace coppice::runtime {

struct Tensor {
  Shape shape;
  std::int64_t size = 0;
  float* values = nullptr;        // null: codes
  std::uint8_t* codes = nullptr;  // null: fp32
  Grid grid;                      // of codes

  bool is_codes() const { return codes != nullptr; }
  float at(std::int64_t index) const {
    if (!is_codes()) return values[index];
    return static_cast<float>(int{codes[index]} - int{grid.zero_point}) * grid.scale;
  }
};

// The nearest integer of |x| <= 512, ties to even; what is beyond goes to +-512 and what is not a
// number to -512. Adding 1.5 * 2^23 leaves no fraction bits, so the addition rounds, in the default
// rounding mode as std::nearbyint does and without a call.
inline float round_small(float x) {
  constexpr float kBound = 512.0F;
  constexpr float kShift = 12582912.0F;
  const float above = x > -kBound ? x : -kBound;
  const float bounded = above < kBound ? above : kBound;
  return (bounded + kShift) - kShift;
}

// clamp(round_half_even(x) + zero_point, low, high): `x` is a value over the scale.
inline std::uint8_t saturated_code(float x, int zero_point, int low, int high) {
  const int code = static_cast<int>(round_small(x)) + zero_point;
  return static_cast<std::uint8_t>(code < low ? low : code > high ? high : code);
}

inline std::uint8_t code_of(float value, const Grid& grid) {
  return saturated_code(value / grid.scale, grid.zero_point, 0, 255);
}

// Elements [begin, begin + count) as fp32.
void load(const Tensor& from, std::int64_t begin, std::int64_t count, float* out);

// The same into a tensor, onto its grid if it has one.
void store(const Tensor& to, std::int64_t begin, std::int64_t count, const float* values);

// Elements from one tensor to another of the same kind and grid.
inline void move_elements(const Tensor& from, std::int64_t begin, const Tensor& to, std::int64_t at,
                          std::int64_t count) {
  const auto n = static_cast<std::size_t>(count);
  if (from.is_codes()) {
    std::memmove(to.codes + at, from.codes + begin, n);
  } else {
    std::memmove(to.values + at, from.values + begin, n * sizeof(float));
  }
}

// Work goes through pieces of this many elements on the stack.
constexpr std::int64_t kPiece = 256;

}  // namespace coppice::runtime
