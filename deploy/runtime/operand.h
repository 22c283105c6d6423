#pragma once
// A tensor as the products of the engine read it: integers about the zero point or values, with a
// convolution's border of zeros. Internal.

#include <algorithm>  // for fill_n
#include <cstdint>    // for int64_t

#include "deploy/runtime/program.h"
#include "deploy/runtime/tensor.h"

namespace coppice::runtime {

// Elements behind the last one that the kernels' registers may read.
constexpr std::int64_t kSpare = 32;

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
void bring(const Tensor& in, std::int64_t at, std::int64_t count, float* out);

template <typename Item>
void bring_padded(const Node& node, const Tensor& in, Item* out) {
  const std::int64_t row = in.shape[2] * in.shape[0];
  const std::int64_t side = node.padding[1] * in.shape[0];
  const std::int64_t edge = node.padding[0] * (row + 2 * side);
  std::fill_n(out, edge, Item{});
  out += edge;
  for (std::int64_t y = 0; y < in.shape[1]; ++y) {
    std::fill_n(out, side, Item{});
    bring(in, y * row, row, out + side);
    std::fill_n(out + side + row, side, Item{});
    out += row + 2 * side;
  }
  std::fill_n(out, edge + kSpare, Item{});
}

}  // namespace coppice::runtime
