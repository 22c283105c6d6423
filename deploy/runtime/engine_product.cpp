// conv2d and linear of the engine, without groups.

#include <algorithm>  // for fill_n, min
#include <cstddef>    // for byte
#include <numeric>    // for accumulate

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"
#include "deploy/runtime/operand.h"

namespace coppice::runtime {
namespace {

using kernels::BlockProduct;
using kernels::FloatProduct;
using kernels::IntegerProduct;

void skip_channels(IntegerProduct& task, std::int64_t channels) {
  task.bias += channels;
  task.multipliers += channels;
}

// How each kind of product is made for a step, loses its first channels, and is run.
struct Dense {
  using Item = std::int16_t;
  static IntegerProduct task(const EngineStep& step) {
    IntegerProduct task;
    describe(task, step);
    return task;
  }
  static void skip(IntegerProduct& task, std::int64_t channels) {
    skip_channels(task, channels);
    task.weights += channels * task.runs * task.steps * (task.bits == 4 ? 1 : 2);
  }
  static void run(const EngineStep& step, const IntegerProduct& task) {
    step.kernels->product(task);
  }
};

struct DenseBytes : Dense {
  using Item = std::uint8_t;
  static void run(const EngineStep& step, const IntegerProduct& task) {
    step.kernels->byte_product(task);
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
  static void skip(BlockProduct& task, std::int64_t channels) {
    skip_channels(task, channels);
    const std::uint16_t* first = task.counts;
    task.counts += channels / kBlockSide;
    const std::int64_t blocks = std::accumulate(first, task.counts, std::int64_t{0});
    task.offsets += blocks;
    task.weights += blocks * kBlockSide * kBlockSide * task.bits / 8;
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
  static void skip(FloatProduct& task, std::int64_t channels) {
    task.bias += channels;
    task.weights += channels * task.runs * task.steps;
  }
  static void run(const EngineStep& step, const FloatProduct& task) {
    step.kernels->float_product(task);
  }
};

void read_from(IntegerProduct& task, const std::int16_t* operand) { task.input = operand; }
void read_from(IntegerProduct& task, const std::uint8_t* operand) { task.bytes = operand; }
void read_from(FloatProduct& task, const float* operand) { task.input = operand; }

template <typename Kind>
typename Kind::Item* operand_of(const EngineStep& step) {
  return reinterpret_cast<typename Kind::Item*>(step.step.scratch);
}

template <typename Kind>
void bring_image(const EngineStep& step) {
  bring_padded(*step.step.node, step.step.inputs[0], operand_of<Kind>(step));
}

// Windows of one pixel lie one behind the other over the rows' ends as well.
bool is_one_row(const Node& node) {
  return node.kernel == Pair{1, 1} && node.stride == Pair{1, 1} && node.padding == Pair{0, 0};
}

std::int64_t operand_row(const EngineStep& step) {
  const Shape& in = step.step.inputs[0].shape;
  return padded(*step.step.node, in).width * in[0];
}

// Rows [begin, end) of the output; `operand` is the first that they read.
template <typename Kind>
void convolve_rows(const EngineStep& step, const void* from, std::int64_t begin, std::int64_t end) {
  const auto* operand = static_cast<const typename Kind::Item*>(from);
  const Node& node = *step.step.node;
  const Shape& out = step.step.output.shape;
  const std::int64_t channels = step.step.inputs[0].shape[0];
  const std::int64_t row = operand_row(step);
  auto task = Kind::task(step);
  task.pixel_step = node.stride[1] * channels;
  task.runs = node.kernel[0];
  task.run_step = row;
  task.steps = (step.shape.run_length() + step.shape.together - 1) / step.shape.together;
  const std::int64_t rows = is_one_row(node) ? end - begin : 1;
  task.pixels = rows * out[2];
  for (std::int64_t y = begin; y < end; y += rows) {
    read_from(task, operand + (y - begin) * node.stride[0] * row);
    write_to(task, step.step.output, y * out[2] * node.out);
    Kind::run(step, task);
  }
}

template <typename Kind>
void convolve(const EngineStep& step, std::int64_t begin, std::int64_t end, std::byte*) {
  const std::int64_t first = begin * step.step.node->stride[0] * operand_row(step);
  convolve_rows<Kind>(step, operand_of<Kind>(step) + first, begin, end);
}

template <typename Kind>
void bring_vectors(const EngineStep& step) {
  const Tensor& in = step.step.inputs[0];
  auto* operand = operand_of<Kind>(step);
  bring(in, 0, in.size, operand);
  std::fill_n(operand + in.size, kSpare, typename Kind::Item{});
}

// Vectors that a matrix is multiplied with.
std::int64_t vector_count(const EngineStep& step) {
  return step.step.inputs[0].size / step.step.row;
}

// Vectors [begin, end), or of a single one panels of channels.
template <typename Kind>
void multiply(const EngineStep& step, std::int64_t begin, std::int64_t end, std::byte*) {
  auto task = Kind::task(step);
  const auto* operand = operand_of<Kind>(step);
  task.pixel_step = step.step.row;
  task.steps = (step.step.row + step.shape.together - 1) / step.shape.together;
  if (vector_count(step) == 1) {
    const std::int64_t first = begin * kPanelChannels;
    read_from(task, operand);
    Kind::skip(task, first);
    task.pixels = 1;
    task.channels = std::min(end * kPanelChannels, task.channels) - first;
    write_to(task, step.step.output, first);
  } else {
    read_from(task, operand + begin * task.pixel_step);
    task.pixels = end - begin;
    write_to(task, step.step.output, begin * task.channels);
  }
  Kind::run(step, task);
}

template <typename Kind>
void plan_loops(EngineStep& step) {
  const bool is_convolution = step.step.node->op == Op::conv2d;
  step.bring = is_convolution ? bring_image<Kind> : bring_vectors<Kind>;
  step.run_part = is_convolution ? convolve<Kind> : multiply<Kind>;
  step.multiply_rows = convolve_rows<Kind>;
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

// Of every channel: the sum of its weights, which lie in panels.
std::vector<std::int64_t> weight_sums(const EngineStep& step, int bits) {
  const std::int64_t pairs =
      step.shape.runs * ((step.shape.run_length() + step.shape.together - 1) / step.shape.together);
  std::vector<std::int64_t> sums(static_cast<std::size_t>(step.shape.out));
  const std::int8_t* at = step.codes;
  for (std::int64_t first = 0; first < step.shape.out; first += kPanelChannels) {
    const std::int64_t width = std::min(kPanelChannels, step.shape.out - first);
    for (std::int64_t i = 0; i < pairs * width; ++i) {
      std::int64_t& sum = sums[static_cast<std::size_t>(first + i % width)];
      if (bits == 4) {
        sum += (static_cast<std::int8_t>(*at * 16) >> 4) + (*at >> 4);
        at += 1;
      } else {
        sum += at[0] + at[1];
        at += 2;
      }
    }
  }
  return sums;
}

// What a product of codes instead of differences to the zero point has too much; modulo 2^32, as
// the sums are.
void subtract_zero_point(EngineStep& step, std::int64_t zero_point) {
  if (zero_point == 0) return;
  const std::vector<std::int64_t> sums = weight_sums(step, step.step.node->weights.bits);
  for (std::size_t channel = 0; channel < sums.size(); ++channel) {
    const std::int64_t bias = step.bias[channel] - zero_point * sums[channel];
    step.bias[channel] = static_cast<std::int32_t>(bias);
  }
}

// Whether weights of this layout are multiplied with codes as they lie.
bool multiplies_bytes(const EngineStep& step) {
  return step.shape.is_integer() && step.shape.groups == 1 &&
         step.step.node->weights.layout != Layout::kBlocks && step.kernels->byte_product != nullptr;
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
  step.reads_codes = multiplies_bytes(step);
  const std::int64_t item = step.reads_codes ? 1
                            : is_integer     ? sizeof(std::int16_t)
                                             : sizeof(float);
  const std::int64_t elements =
      is_convolution ? padded(node, input).elements : element_count(input);
  step.step.scratch_bytes = (elements + kSpare) * item;
  if (step.shape.is_depthwise() && is_integer) return plan_depthwise(step, input);
  if (step.shape.groups > 1) return plan_groups(step);
  if (is_sparse) {
    const std::int64_t run_step =
        is_convolution ? padded(node, input).width * input[0] : std::int64_t{0};
    step.offsets = block_offsets(node.weights, step.shape, run_step);
    plan_loops<Sparse>(step);
  } else if (step.reads_codes) {
    const auto input_index = static_cast<std::size_t>(node.inputs[0]);
    subtract_zero_point(step, inference.grids()[input_index]->zero_point);
    plan_loops<DenseBytes>(step);
  } else if (is_integer) {
    plan_loops<Dense>(step);
  } else {
    plan_loops<Values>(step);
  }
}

void plan_division(EngineStep& step) {
  const Node& node = *step.step.node;
  const Tensor& out = step.step.output;
  const std::int64_t panels = (node.out + kPanelChannels - 1) / kPanelChannels;
  const bool is_convolution = node.op == Op::conv2d;
  step.units = is_convolution ? out.shape[1] : vector_count(step) > 1 ? vector_count(step) : panels;
  const std::int64_t dense = node.out * step.shape.row();
  const bool is_sparse = node.weights.layout == Layout::kBlocks;
  const auto blocks = static_cast<std::int64_t>(node.weights.blocks.size());
  const std::int64_t weights = is_sparse ? blocks * kBlockSide * kBlockSide : dense;
  step.work = out.size / node.out * weights;
  for (EngineStep& first : step.before) {
    plan_division(first);
    step.work += first.work;
  }
}

}  // namespace coppice::runtime
