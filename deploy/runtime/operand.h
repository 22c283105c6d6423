#pragma once
// A tensor as the products of the engine read it: integers about the zero point, codes or values,
// with a convolution's border of zeros. Internal.

#include <algorithm>  // for fill_n
#include <cstdint>    // for int64_t

#include "deploy/runtime/program.h"
#include "deploy/runtime/tensor.h"

namespace coppice::runtime {

// Elements behind the last one that the kernels' registers may read.
constexpr std::int64_t kSpare = 32;

// Parts of a scratch begin at such a place.
inline std::int64_t aligned(std::int64_t bytes) {
  constexpr std::int64_t kAlign = 64;
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

// An image with its border.
struct Padded {
  std::int64_t width = 0;
  std::int64_t elements = 0;
};

inline Padded padded(const Node& node, const Shape& image) {
  const std::int64_t width = image[2] + 2 * node.padding[1];
  return {width, (image[1] + 2 * node.padding[0]) * width * image[0]};
}

// Elements [at, at + count).
void bring(const Tensor& in, std::int64_t at, std::int64_t count, std::int16_t* out);
void bring(const Tensor& in, std::int64_t at, std::int64_t count, std::uint8_t* out);
void bring(const Tensor& in, std::int64_t at, std::int64_t count, float* out);

// What stands for zero.
template <typename Item>
Item zero_of(const Tensor& in) {
  if constexpr (sizeof(Item) == 1) return static_cast<Item>(in.grid.zero_point);
  return Item{};
}

// Rows [first, first + count) of the image with its border.
template <typename Item>
void bring_rows(const Node& node, const Tensor& in, std::int64_t first, std::int64_t count,
                Item* out) {
  const std::int64_t row = in.shape[2] * in.shape[0];
  const std::int64_t side = node.padding[1] * in.shape[0];
  const std::int64_t end = first + count - node.padding[0];
  const Item zero = zero_of<Item>(in);
  for (std::int64_t y = first - node.padding[0]; y < end; ++y, out += row + 2 * side) {
    if (y < 0 || y >= in.shape[1]) {
      std::fill_n(out, row + 2 * side, zero);
      continue;
    }
    std::fill_n(out, side, zero);
    bring(in, y * row, row, out + side);
    std::fill_n(out + side + row, side, zero);
  }
}

// All of them, and something behind.
template <typename Item>
void bring_padded(const Node& node, const Tensor& in, Item* out) {
  bring_rows(node, in, 0, in.shape[1] + 2 * node.padding[0], out);
  std::fill_n(out + padded(node, in.shape).elements, kSpare, Item{});
}

}  // namespace coppice::runtime
