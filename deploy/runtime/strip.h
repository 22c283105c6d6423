#pragma once
// The rows that a depthwise convolution of integers works on at a time, alone or with the pointwise
// convolution that alone reads it, and the memory that they take. Pure. Internal.

#include <algorithm>  // for max, min
#include <cstdint>    // for int64_t

#include "deploy/runtime/operand.h"
#include "deploy/runtime/program.h"

namespace coppice::runtime {

struct StripPlan {
  std::int64_t rows = 1;  // of the output
  std::int64_t bytes = 0;
  // With a pointwise convolution behind.
  std::int64_t product_rows = 1;  // of the output that it multiplies at once: whole strips
  std::int64_t row_bytes = 0;     // a row of codes between the two
  std::int64_t joint_bytes = 0;  // strip, that row and the rows of the operand, one after the other
  std::int64_t code_bytes = 0;   // where the operand are those rows: strip and rows
};

// Rows of the padded input that neighbouring rows of the output read.
inline std::int64_t rows_read(const Node& node, std::int64_t rows) {
  return (rows - 1) * node.stride[0] + node.kernel[0];
}

// Integers with what the kernels read behind them.
inline std::int64_t operand_bytes(std::int64_t elements) {
  return (elements + kSpare) * static_cast<std::int64_t>(sizeof(std::int16_t));
}

// Rows or columns of a convolution's output, the axis being 0 or 1.
inline std::int64_t output_axis(const Node& node, const Shape& image, std::size_t axis) {
  return (image[axis + 1] + 2 * node.padding[axis] - node.kernel[axis]) / node.stride[axis] + 1;
}

// `image` is the input of `depthwise`.
inline StripPlan strip_plan(const Node& depthwise, const Shape& image) {
  // Rows that are new in each strip: few, so that little is brought before it is used; of a window
  // of three, two are kept, which costs a hundredth of the products.
  constexpr std::int64_t kNewRows = 4;
  // Enough for several tiles of a product.
  constexpr std::int64_t kProductPixels = 40;
  const std::int64_t height = output_axis(depthwise, image, 0);
  const std::int64_t width = output_axis(depthwise, image, 1);
  StripPlan plan;
  plan.rows = std::min(height, std::max<std::int64_t>(1, kNewRows / depthwise.stride[0]));
  plan.bytes =
      operand_bytes(rows_read(depthwise, plan.rows) * padded(depthwise, image).width * image[0]);
  const std::int64_t strips = (kProductPixels / width + plan.rows) / plan.rows;
  plan.product_rows = std::min(height, strips * plan.rows);
  plan.row_bytes = width * depthwise.out;
  plan.joint_bytes = aligned(plan.bytes) + aligned(plan.row_bytes) +
                     operand_bytes(plan.product_rows * plan.row_bytes);
  plan.code_bytes = aligned(plan.bytes) + plan.product_rows * plan.row_bytes + kSpare;
  return plan;
}

}  // namespace coppice::runtime
