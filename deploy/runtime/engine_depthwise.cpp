// Depthwise convolutions of integers, a strip of rows at a time: by themselves, or with the
// pointwise convolution that alone reads them. What lies between two strips stays in the first
// cache, and the arena has room for one strip, not for the image.

#include <algorithm>  // for copy, fill_n, max, min
#include <utility>    // for move

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"
#include "deploy/runtime/operand.h"
#include "deploy/runtime/strip.h"

namespace coppice::runtime {
namespace {

std::int64_t padded_row(const Node& node, const Shape& image) {
  return padded(node, image).width * image[0];
}

// Of every tap, and of one more behind an odd number.
std::vector<std::int32_t> tap_offsets(const EngineStep& step, std::int64_t row) {
  std::vector<std::int32_t> offsets;
  const std::int64_t width = step.step.node->kernel[1];
  for (std::int64_t tap = 0; tap < step.shape.taps; ++tap)
    offsets.push_back(static_cast<std::int32_t>(tap / width * row + tap % width * step.shape.out));
  if (offsets.size() % 2 != 0) offsets.push_back(0);
  return offsets;
}

kernels::DepthwiseProduct task_of(const EngineStep& step) {
  const Node& node = *step.step.node;
  kernels::DepthwiseProduct task;
  task.pixel_step = node.stride[1] * node.out;
  task.pixels = step.step.output.shape[2];
  task.taps = step.shape.taps;
  task.offsets = step.offsets.data();
  describe(task, step);
  return task;
}

// Calls use(y, rows, input) for rows [begin, end) of the output, a strip after the other: `input`
// are the rows of the padded input that rows [y, y + rows) read, in `strip`. Rows that two strips
// read are brought once.
template <typename Use>
void for_strips(const EngineStep& step, std::int64_t begin, std::int64_t end, std::byte* strip,
                const Use& use) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const std::int64_t row = padded_row(node, in.shape);
  auto* image = reinterpret_cast<std::int16_t*>(strip);
  std::fill_n(image + rows_read(node, step.strip_rows) * row, kSpare, std::int16_t{0});
  std::int64_t there = begin * node.stride[0];  // rows [there, brought) are in the strip
  std::int64_t brought = there;
  for (std::int64_t y = begin; y < end; y += step.strip_rows) {
    const std::int64_t rows = std::min(step.strip_rows, end - y);
    const std::int64_t first = y * node.stride[0];
    const std::int64_t kept = std::max<std::int64_t>(0, brought - first);
    const std::int16_t* old = image + (first - there) * row;
    if (kept > 0) std::copy(old, old + kept * row, image);
    const std::int64_t all = rows_read(node, rows);
    bring_rows(node, in, first + kept, all - kept, image + kept * row);
    there = first;
    brought = first + all;
    use(y, rows, image);
  }
}

void run_depthwise(const EngineStep& step, std::int64_t begin, std::int64_t end, std::byte* strip) {
  const Tensor& out = step.step.output;
  kernels::DepthwiseProduct task = task_of(step);
  const std::int64_t input_step =
      step.step.node->stride[0] * padded_row(*step.step.node, step.step.inputs[0].shape);
  for_strips(step, begin, end, strip,
             [&](std::int64_t y, std::int64_t rows, const std::int16_t* input) {
               for (std::int64_t r = 0; r < rows; ++r) {
                 task.input = input + r * input_step;
                 write_to(task, out, (y + r) * out.shape[2] * task.channels);
                 step.kernels->depthwise_product(task);
               }
             });
}

// The depthwise convolution writes rows of codes, which become rows of the pointwise convolution's
// operand or are that; a strip of these is multiplied at once.
void run_with_pointwise(const EngineStep& step, std::int64_t begin, std::int64_t end,
                        std::byte* strip) {
  const EngineStep& depthwise = step.before.front();
  const Shape& image = depthwise.step.inputs[0].shape;
  kernels::DepthwiseProduct task = task_of(depthwise);
  const std::int64_t input_step =
      depthwise.step.node->stride[0] * padded_row(*depthwise.step.node, image);
  Tensor row;  // its shape is not needed, and would be allocated
  row.grid = depthwise.step.output.grid;
  row.size = task.pixels * task.channels;
  std::byte* behind = strip + aligned(depthwise.step.scratch_bytes);
  row.codes = reinterpret_cast<std::uint8_t*>(behind);
  std::byte* operand = step.reads_codes ? behind : behind + aligned(row.size);
  auto* integers = reinterpret_cast<std::int16_t*>(operand);
  if (!step.reads_codes)
    std::fill_n(integers + step.product_rows * row.size, kSpare, std::int16_t{0});
  std::int64_t first = begin;  // row of the operand
  for_strips(depthwise, begin, end, strip,
             [&](std::int64_t y, std::int64_t rows, const std::int16_t* input) {
               for (std::int64_t r = 0; r < rows; ++r, ++y) {
                 const std::int64_t at = (y - first) * row.size;
                 task.input = input + r * input_step;
                 task.codes = step.reads_codes ? row.codes + at : row.codes;
                 depthwise.kernels->depthwise_product(task);
                 if (!step.reads_codes) bring(row, 0, row.size, integers + at);
               }
               if (y - first < step.product_rows && y < end) return;
               step.multiply_rows(step, operand, first, y);
               first = y;
             });
}

}  // namespace

void plan_depthwise(EngineStep& step, const Shape& image) {
  const Node& node = *step.step.node;
  const StripPlan plan = strip_plan(node, image);
  step.offsets = tap_offsets(step, padded_row(node, image));
  step.strip_rows = plan.rows;
  step.step.scratch_bytes = plan.bytes;
  step.run_part = run_depthwise;
}

void join_pointwise(EngineStep& step, EngineStep depthwise, const Shape& image) {
  const Node& node = *depthwise.step.node;
  const StripPlan plan = strip_plan(node, image);
  step.product_rows = plan.product_rows;
  step.step.scratch_bytes = step.reads_codes ? plan.code_bytes : plan.joint_bytes;
  step.bring = nullptr;
  step.run_part = run_with_pointwise;
  step.before.push_back(std::move(depthwise));
}

}  // namespace coppice::runtime
