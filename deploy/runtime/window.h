#pragma once
// The window of one output pixel of a pool. Internal.

#include <algorithm>  // for max, min
#include <cstdint>    // for int64_t

#include "deploy/runtime/program.h"

namespace coppice::runtime {

// What of it lies in the image. Padding is at most half of the kernel: there is always some.
struct Window {
  std::int64_t top, bottom, left, right;
};

// Of output pixel (y, x) over an image of shape `in`.
inline Window window_at(const Node& node, const Shape& in, std::int64_t y, std::int64_t x) {
  const std::int64_t top = y * node.stride[0] - node.padding[0];
  const std::int64_t left = x * node.stride[1] - node.padding[1];
  return {std::max<std::int64_t>(top, 0), std::min(top + node.kernel[0], in[1]),
          std::max<std::int64_t>(left, 0), std::min(left + node.kernel[1], in[2])};
}

}  // namespace coppice::runtime
