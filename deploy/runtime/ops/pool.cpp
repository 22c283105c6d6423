// max_pool2d, avg_pool2d and global_avg_pool.

#include <algorithm>  // for max

#include "deploy/runtime/step.h"
#include "deploy/runtime/window.h"

namespace coppice::runtime {
namespace {

template <typename T>
T largest(const T* plane, std::int64_t width, const Window& window) {
  T best = plane[window.top * width + window.left];
  for (std::int64_t y = window.top; y < window.bottom; ++y) {
    for (std::int64_t x = window.left; x < window.right; ++x)
      best = std::max(best, plane[y * width + x]);
  }
  return best;
}

// The mean of `count` elements, those outside the image being zero. Of codes: the sum is an exact
// integer.
float mean(const Tensor& in, std::int64_t plane, std::int64_t width, const Window& window,
           std::int64_t count) {
  const auto elements = static_cast<float>(count);
  std::int64_t code_sum = 0;
  double value_sum = 0.0;
  for (std::int64_t y = window.top; y < window.bottom; ++y) {
    for (std::int64_t i = plane + y * width + window.left; i < plane + y * width + window.right;
         ++i) {
      if (in.is_codes()) {
        code_sum += int{in.codes[i]} - int{in.grid.zero_point};
      } else {
        value_sum += double{in.values[i]};
      }
    }
  }
  if (in.is_codes()) return static_cast<float>(code_sum) * (in.grid.scale / elements);
  return static_cast<float>(value_sum / double{elements});
}

}  // namespace

void run_pool(const Step& step) {
  const Node& node = *step.node;
  const Tensor& in = step.inputs[0];
  const Shape& out = step.output.shape;
  const std::int64_t width = in.shape[2];
  std::int64_t index = 0;
  for (std::int64_t plane = 0; plane < in.size; plane += in.shape[1] * width) {
    for (std::int64_t y = 0; y < out[1]; ++y) {
      for (std::int64_t x = 0; x < out[2]; ++x, ++index) {
        const Window window = window_at(node, in.shape, y, x);
        if (node.op == Op::avg_pool2d) {
          const float value = mean(in, plane, width, window, node.kernel[0] * node.kernel[1]);
          store(step.output, index, 1, &value);
        } else if (in.is_codes()) {
          step.output.codes[index] = largest(in.codes + plane, width, window);
        } else {
          step.output.values[index] = largest(in.values + plane, width, window);
        }
      }
    }
  }
}

void run_global_avg_pool(const Step& step) {
  const Tensor& in = step.inputs[0];
  const std::int64_t pixels = in.shape[1] * in.shape[2];
  for (std::int64_t c = 0; c < step.output.size; ++c) {
    const float value = mean(in, c * pixels, in.shape[2], {0, in.shape[1], 0, in.shape[2]}, pixels);
    store(step.output, c, 1, &value);
  }
}

}  // namespace coppice::runtime
