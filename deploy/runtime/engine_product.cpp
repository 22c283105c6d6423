// conv2d and linear of the engine, without groups.

#include <algorithm>  // for fill_n

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"
#include "deploy/runtime/operand.h"

namespace coppice::runtime {
namespace {

using kernels::BlockProduct;
using kernels::FloatProduct;
using kernels::IntegerProduct;

// How each kind of product is made for a step, and run.
struct Dense {
  using Item = std::int16_t;
  static IntegerProduct task(const EngineStep& step) {
    IntegerProduct task;
    describe(task, step);
    return task;
  }
  static void run(const EngineStep& step, const IntegerProduct& task) {
    step.kernels->product(task);
  }
};

struct Sparse {
  using Item = std::int16_t;
  static BlockProduct task(const EngineStep& step) {
    BlockProduct task;
    describe(task, step);
    task.counts = step.step.node->weights.block_counts.data();
    task.offsets = step.offsets.data();
    return task;
  }
  static void run(const EngineStep& step, const BlockProduct& task) {
    step.kernels->block_product(task);
  }
};

struct Values {
  using Item = float;
  static FloatProduct task(const EngineStep& step) {
    FloatProduct task;
    describe(task, step);
    return task;
  }
  static void run(const EngineStep& step, const FloatProduct& task) {
    step.kernels->float_product(task);
  }
};

template <typename Kind>
void convolve(const EngineStep& step) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const Shape& out = step.step.output.shape;
  auto* operand = reinterpret_cast<typename Kind::Item*>(step.step.scratch);
  bring_padded(node, in, operand);
  const std::int64_t channels = in.shape[0];
  const std::int64_t row = padded(node, in.shape).width * channels;
  auto task = Kind::task(step);
  task.pixel_step = node.stride[1] * channels;
  task.runs = node.kernel[0];
  task.run_step = row;
  task.steps = (step.shape.run_length() + step.shape.together - 1) / step.shape.together;
  // Windows of one pixel lie one behind the other over the rows' ends as well.
  const bool is_one_row =
      node.kernel == Pair{1, 1} && node.stride == Pair{1, 1} && node.padding == Pair{0, 0};
  task.pixels = is_one_row ? out[1] * out[2] : out[2];
  for (std::int64_t y = 0; y < (is_one_row ? 1 : out[1]); ++y) {
    task.input = operand + y * node.stride[0] * row;
    write_to(task, step.step.output, y * out[2] * node.out);
    Kind::run(step, task);
  }
}

template <typename Kind>
void multiply(const EngineStep& step) {
  const Tensor& in = step.step.inputs[0];
  auto* operand = reinterpret_cast<typename Kind::Item*>(step.step.scratch);
  bring(in, 0, in.size, operand);
  std::fill_n(operand + in.size, kSpare, typename Kind::Item{});
  auto task = Kind::task(step);
  task.input = operand;
  task.pixel_step = step.step.row;
  task.pixels = in.size / step.step.row;
  task.steps = (step.step.row + step.shape.together - 1) / step.shape.together;
  write_to(task, step.step.output, 0);
  Kind::run(step, task);
}

// Of every block in its order; `run_step` is the operand's.
std::vector<std::int32_t> block_offsets(const Weights& weights, const ProductShape& shape,
                                        std::int64_t run_step) {
  std::vector<std::int32_t> offsets;
  const std::int64_t of_run = shape.taps / shape.runs;
  for (const std::int64_t block : weights.blocks) {
    const std::int64_t tap = block / shape.blocks_of_tap();
    const std::int64_t at = tap / of_run * run_step + tap % of_run * shape.depth +
                            block % shape.blocks_of_tap() * kBlockSide;
    offsets.push_back(static_cast<std::int32_t>(at));
  }
  return offsets;
}

template <typename T>
void make_room(std::vector<T>& by_channel, std::int64_t channels) {
  by_channel.resize(static_cast<std::size_t>(channels + kernels::kSpareChannels));
}

}  // namespace

void plan_product(EngineStep& step, const Inference& inference) {
  const Node& node = *step.step.node;
  const Shape& input = inference.shapes()[static_cast<std::size_t>(node.inputs[0])];
  const bool is_convolution = node.op == Op::conv2d;
  const bool is_sparse = node.weights.layout == Layout::kBlocks;
  const bool is_integer = step.shape.is_integer();
  if (is_integer) {
    step.bias = node.bias_codes;
    step.multipliers = step.step.multipliers;
  } else {
    step.multipliers = node.bias;
  }
  make_room(step.bias, node.out);
  make_room(step.multipliers, node.out);
  const std::int64_t item = is_integer ? sizeof(std::int16_t) : sizeof(float);
  const std::int64_t elements =
      is_convolution ? padded(node, input).elements : element_count(input);
  step.step.scratch_bytes = (elements + kSpare) * item;
  if (step.shape.groups > 1) return plan_groups(step, padded(node, input).width);
  if (is_sparse) {
    const std::int64_t run_step =
        is_convolution ? padded(node, input).width * input[0] : std::int64_t{0};
    step.offsets = block_offsets(node.weights, step.shape, run_step);
    step.run = is_convolution ? convolve<Sparse> : multiply<Sparse>;
  } else if (is_integer) {
    step.run = is_convolution ? convolve<Dense> : multiply<Dense>;
  } else {
    step.run = is_convolution ? convolve<Values> : multiply<Values>;
  }
}

}  // namespace coppice::runtime
