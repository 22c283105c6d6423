// conv2d and linear of the engine.

#include <algorithm>  // for fill_n, min

#include "deploy/runtime/dot.h"
#include "deploy/runtime/engine_step.h"
#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

constexpr std::int64_t kAlign = 64;
constexpr std::int64_t kSpare = 2;  // operands behind the last one, which an odd run's end reads

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// An image with its border of zeros.
struct Padded {
  std::int64_t width = 0;
  std::int64_t elements = 0;
};

Padded padded(const Node& node, const Shape& image) {
  const std::int64_t width = image[2] + 2 * node.padding[1];
  return {width, (image[1] + 2 * node.padding[0]) * width * image[0]};
}

COPPICE_CLONES
void subtract(const std::uint8_t* codes, int zero_point, std::int64_t count, std::int16_t* out) {
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = static_cast<std::int16_t>(int{codes[i]} - zero_point);
}

void bring(const Tensor& in, std::int64_t at, std::int64_t count, std::int16_t* out) {
  subtract(in.codes + at, in.grid.zero_point, count, out);
}

void bring(const Tensor& in, std::int64_t at, std::int64_t count, float* out) {
  load(in, at, count, out);
}

// The input about its zero point, with its border.
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

void write_to(kernels::Product& task, const Tensor& out, std::int64_t at) {
  if (out.is_codes()) {
    task.codes = out.codes + at;
  } else {
    task.values = out.values + at;
  }
}

void describe(kernels::Product& task, const EngineStep& step) {
  task.channels = step.step.node->out;
  task.zero_point = step.step.output.grid.zero_point;
  task.low_code = step.step.low_code;
  task.high_code = step.step.high_code;
}

kernels::IntegerProduct integer_task(const EngineStep& step) {
  kernels::IntegerProduct task;
  describe(task, step);
  task.weights = step.packed.data();
  task.bias = step.bias.data();
  task.multipliers = step.multipliers.data();
  return task;
}

kernels::FloatProduct float_task(const EngineStep& step) {
  kernels::FloatProduct task;
  describe(task, step);
  task.weights = step.values.data();
  task.bias = step.multipliers.data();
  task.scale = step.step.output.grid.scale;
  return task;
}

void multiply(const EngineStep& step, const kernels::IntegerProduct& task) {
  step.kernels->product(task);
}

void multiply(const EngineStep& step, const kernels::FloatProduct& task) {
  step.kernels->float_product(task);
}

// `operand` is the scratch, `activations` of which make a step of the product.
template <typename Task, typename Item>
void convolve(const EngineStep& step, Task task, Item* operand, std::int64_t activations) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const Shape& out = step.step.output.shape;
  bring_padded(node, in, operand);
  const std::int64_t channels = in.shape[0];
  const std::int64_t row = padded(node, in.shape).width * channels;
  task.pixel_step = node.stride[1] * channels;
  task.runs = node.kernel[0];
  task.run_step = row;
  task.steps = (node.kernel[1] * channels + activations - 1) / activations;
  // Windows of one pixel lie one behind the other over the rows' ends as well.
  const bool is_one_row =
      node.kernel == Pair{1, 1} && node.stride == Pair{1, 1} && node.padding == Pair{0, 0};
  task.pixels = is_one_row ? out[1] * out[2] : out[2];
  for (std::int64_t y = 0; y < (is_one_row ? 1 : out[1]); ++y) {
    task.input = operand + y * node.stride[0] * row;
    write_to(task, step.step.output, y * out[2] * node.out);
    multiply(step, task);
  }
}

void run_convolution(const EngineStep& step) {
  convolve(step, integer_task(step), reinterpret_cast<std::int16_t*>(step.step.scratch), 2);
}

void run_float_convolution(const EngineStep& step) {
  convolve(step, float_task(step), reinterpret_cast<float*>(step.step.scratch), 1);
}

void run_matrix(const EngineStep& step) {
  const Tensor& in = step.step.inputs[0];
  auto* operand = reinterpret_cast<std::int16_t*>(step.step.scratch);
  bring(in, 0, in.size, operand);
  std::fill_n(operand + in.size, kSpare, std::int16_t{0});
  kernels::IntegerProduct task = integer_task(step);
  task.input = operand;
  task.pixel_step = step.step.row;
  task.pixels = in.size / step.step.row;
  task.steps = (step.step.row + 1) / 2;
  write_to(task, step.step.output, 0);
  step.kernels->product(task);
}

// sums += x * weights
COPPICE_CLONES
void add_scaled(std::int16_t x, const std::int16_t* weights, std::int64_t count,
                std::int32_t* sums) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += std::int32_t{x} * std::int32_t{weights[i]};
}

COPPICE_CLONES
void add_scaled(float x, const float* weights, std::int64_t count, float* sums) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += x * weights[i];
}

// A window of a depthwise convolution: sums[c] += x[tap][c] * weights[tap][c].
template <typename Item, typename Sum>
[[gnu::always_inline]] inline void add_window(const Item* x, std::int64_t row_step,
                                              const Pair& kernel, const Item* weights,
                                              std::int64_t channels, Sum* sums) {
  for (std::int64_t ky = 0; ky < kernel[0]; ++ky, x += row_step) {
    const Item* at = x;
    for (std::int64_t kx = 0; kx < kernel[1]; ++kx, at += channels, weights += channels) {
      for (std::int64_t c = 0; c < channels; ++c) sums[c] += Sum{at[c]} * Sum{weights[c]};
    }
  }
}

COPPICE_CLONES
void add_depthwise(const std::int16_t* x, std::int64_t row_step, const Pair& kernel,
                   const std::int16_t* weights, std::int64_t channels, std::int32_t* sums) {
  add_window(x, row_step, kernel, weights, channels, sums);
}

COPPICE_CLONES
void add_depthwise(const float* x, std::int64_t row_step, const Pair& kernel, const float* weights,
                   std::int64_t channels, float* sums) {
  add_window(x, row_step, kernel, weights, channels, sums);
}

COPPICE_CLONES
void scale_sums(const std::int32_t* sums, const std::int32_t* bias, const float* multipliers,
                std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = static_cast<float>(sums[i] + bias[i]) * multipliers[i];
}

COPPICE_CLONES
void saturate(const float* scaled, int zero_point, int low, int high, std::int64_t count,
              std::uint8_t* codes) {
  for (std::int64_t i = 0; i < count; ++i)
    codes[i] = saturated_code(scaled[i], zero_point, low, high);
}

void finish(const EngineStep& step, std::int64_t at, const std::int32_t* sums) {
  const Tensor& out = step.step.output;
  float scaled[kPiece];
  for (std::int64_t c = 0; c < step.step.node->out; c += kPiece) {
    const std::int64_t count = std::min(kPiece, step.step.node->out - c);
    float* values = out.is_codes() ? scaled : out.values + at + c;
    scale_sums(sums + c, step.bias.data() + c, step.multipliers.data() + c, count, values);
    if (out.is_codes()) {
      saturate(scaled, out.grid.zero_point, step.step.low_code, step.step.high_code, count,
               out.codes + at + c);
    }
  }
}

void finish(const EngineStep& step, std::int64_t at, float* sums) {
  const std::vector<float>& bias = step.step.node->bias;
  for (std::size_t c = 0; c < bias.size(); ++c) sums[c] += bias[c];
  store(step.step.output, at, step.step.node->out, sums);
}

const std::int16_t* tap_weights(const EngineStep& step, std::int16_t) { return step.taps.data(); }
const float* tap_weights(const EngineStep& step, float) { return step.values.data(); }

// Groups: tap by tap, all channels at once.
template <typename Item, typename Sum>
void run_taps(const EngineStep& step) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const Shape& out = step.step.output.shape;
  auto* operand = reinterpret_cast<Item*>(step.step.scratch);
  bring_padded(node, in, operand);
  const Padded image = padded(node, in.shape);
  const std::int64_t channels = in.shape[0];
  const std::int64_t group_in = channels / node.groups;
  const std::int64_t group_out = node.out / node.groups;
  auto* sums =
      reinterpret_cast<Sum*>(step.step.scratch + aligned((image.elements + kSpare) *
                                                         static_cast<std::int64_t>(sizeof(Item))));
  for (std::int64_t pixel = 0; pixel < out[1] * out[2]; ++pixel) {
    std::fill_n(sums, node.out, Sum{});
    const std::int64_t top = pixel / out[2] * node.stride[0];
    const std::int64_t left = pixel % out[2] * node.stride[1];
    const Item* weights = tap_weights(step, Item{});
    const Item* x = operand + (top * image.width + left) * channels;
    if (group_in == 1 && group_out == 1) {
      add_depthwise(x, image.width * channels, node.kernel, weights, channels, sums);
      finish(step, pixel * node.out, sums);
      continue;
    }
    for (std::int64_t tap = 0; tap < node.kernel[0] * node.kernel[1]; ++tap) {
      const Item* at = x + (tap / node.kernel[1] * image.width + tap % node.kernel[1]) * channels;
      for (std::int64_t i = 0; i < group_in; ++i, weights += node.out) {
        for (std::int64_t group = 0; group < node.groups; ++group)
          add_scaled(at[group * group_in + i], weights + group * group_out, group_out,
                     sums + group * group_out);
      }
    }
    finish(step, pixel * node.out, sums);
  }
}

void run_float_matrix(const EngineStep& step) {
  const Tensor& in = step.step.inputs[0];
  const std::int64_t row = step.step.row;
  const std::int64_t channels = step.step.node->out;
  auto* operand = reinterpret_cast<float*>(step.step.scratch);
  auto* sums = operand + row;
  for (std::int64_t begin = 0, at = 0; begin < in.size; begin += row, at += channels) {
    bring(in, begin, row, operand);
    dot_rows(operand, step.values.data(), channels, row, sums);
    finish(step, at, sums);
  }
}

// Panels of the kernels, `activations` a step: weight_at(channel, run, element of the run).
template <typename T, typename WeightAt>
void pack_panels(const EngineStep& step, std::int64_t runs, std::int64_t length,
                 std::int64_t activations, const WeightAt& weight_at, std::vector<T>& packed) {
  const std::int64_t channels = step.step.node->out;
  const std::int64_t panel = step.kernels->panel;
  const std::int64_t steps = (length + activations - 1) / activations;
  for (std::int64_t first = 0; first < channels; first += panel) {
    for (std::int64_t run = 0; run < runs; ++run) {
      for (std::int64_t s = 0; s < steps; ++s) {
        for (std::int64_t lane = 0; lane < activations * panel; ++lane) {
          const std::int64_t channel = first + lane / activations;
          const std::int64_t at = activations * s + lane % activations;
          packed.push_back(channel < channels && at < length ? weight_at(channel, run, at) : T{});
        }
      }
    }
  }
}

template <typename T>
std::vector<T> to_panels(const EngineStep& step, const std::vector<T>& by_channel) {
  std::vector<T> padded = by_channel;
  const std::int64_t panel = step.kernels->panel;
  padded.resize(static_cast<std::size_t>((step.step.node->out + panel - 1) / panel * panel));
  return padded;
}

template <typename WeightAt>
void pack(EngineStep& step, std::int64_t runs, std::int64_t length, const WeightAt& weight_at) {
  pack_panels(step, runs, length, 2, weight_at, step.packed);
  step.bias = to_panels(step, step.step.node->bias_codes);
  step.multipliers = to_panels(step, step.step.multipliers);
}

// Weight i of the node: a value, or a code's.
float weight_value(const EngineStep& step, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  const Weights& weights = step.step.node->weights;
  return weights.bits == 32 ? weights.values[at] : step.step.weights[at];
}

}  // namespace

void prepare_convolution(EngineStep& step, const Inference& inference) {
  const Node& node = *step.step.node;
  const Shape& image = inference.shapes()[static_cast<std::size_t>(node.inputs[0])];
  const bool is_integer = inference.is_integer(node);
  const auto [height, width] = node.kernel;
  const std::int64_t group_in = image[0] / node.groups;
  const std::int64_t row = group_in * height * width;
  const std::int64_t item = is_integer ? sizeof(std::int16_t) : sizeof(float);
  const std::int64_t operand = aligned((padded(node, image).elements + kSpare) * item);
  step.step.scratch_bytes = operand + 4 * node.out;
  // In the node: [channel][input channel of the group][ky][kx].
  const auto index_of = [&, height = height, width = width](std::int64_t channel, std::int64_t c,
                                                            std::int64_t ky, std::int64_t kx) {
    return channel * row + (c * height + ky) * width + kx;
  };
  if (is_integer && node.groups == 1) {
    pack(step, height, width * group_in,
         [&](std::int64_t channel, std::int64_t ky, std::int64_t at) {
           const std::int64_t i = index_of(channel, at % group_in, ky, at / group_in);
           return node.weights.codes[static_cast<std::size_t>(i)];
         });
    step.run = run_convolution;
    return;
  }
  if (node.groups == 1) {
    pack_panels(
        step, height, width * group_in, 1,
        [&](std::int64_t channel, std::int64_t ky, std::int64_t at) {
          return weight_value(step, index_of(channel, at % group_in, ky, at / group_in));
        },
        step.values);
    step.multipliers = to_panels(step, node.bias);
    step.run = run_float_convolution;
    return;
  }
  for (std::int64_t ky = 0; ky < height; ++ky) {
    for (std::int64_t kx = 0; kx < width; ++kx) {
      for (std::int64_t c = 0; c < group_in; ++c) {
        for (std::int64_t channel = 0; channel < node.out; ++channel) {
          const std::int64_t i = index_of(channel, c, ky, kx);
          if (is_integer) {
            step.taps.push_back(node.weights.codes[static_cast<std::size_t>(i)]);
          } else {
            step.values.push_back(weight_value(step, i));
          }
        }
      }
    }
  }
  if (!is_integer) {
    step.run = run_taps<float, float>;
    return;
  }
  step.bias.assign(node.bias_codes.begin(), node.bias_codes.end());
  step.bias.resize(static_cast<std::size_t>(node.out));
  step.multipliers = step.step.multipliers;
  step.run = run_taps<std::int16_t, std::int32_t>;
}

void prepare_matrix(EngineStep& step, const Inference& inference, const Order& order) {
  const Node& node = *step.step.node;
  const std::int64_t row = step.step.row;
  const std::int64_t count =
      element_count(inference.shapes()[static_cast<std::size_t>(node.inputs[0])]);
  // Element `at` of a row as it lies in memory is this one of the node's.
  const auto source = [&](std::int64_t at) {
    if (order.empty()) return at;
    return at % order[0] * order[1] * order[2] + at / order[0];
  };
  if (inference.is_integer(node)) {
    step.step.scratch_bytes = (count + kSpare) * static_cast<std::int64_t>(sizeof(std::int16_t));
    pack(step, 1, row, [&](std::int64_t channel, std::int64_t, std::int64_t at) {
      return node.weights.codes[static_cast<std::size_t>(channel * row + source(at))];
    });
    step.run = run_matrix;
    return;
  }
  step.step.scratch_bytes = (row + node.out) * static_cast<std::int64_t>(sizeof(float));
  for (std::int64_t channel = 0; channel < node.out; ++channel) {
    for (std::int64_t at = 0; at < row; ++at)
      step.values.push_back(weight_value(step, channel * row + source(at)));
  }
  step.run = run_float_matrix;
}

}  // namespace coppice::runtime
