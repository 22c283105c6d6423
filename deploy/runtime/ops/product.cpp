// conv2d and linear: a patch of the input, its inner products with the weights, and what becomes of
// the sums.

#include <algorithm>  // for copy
#include <cstddef>    // for byte

#include "deploy/runtime/dot.h"
#include "deploy/runtime/step.h"

namespace coppice::runtime {
namespace {

constexpr std::int64_t kAlign = 16;

std::int64_t patch_bytes(std::int64_t row, std::int64_t item) {
  return (row * item + kAlign - 1) / kAlign * kAlign;
}

// How an element of the input enters a patch: an integer about the zero point, or a value.
struct IntegerPatch {
  using Item = std::int16_t;
  using Sum = std::int32_t;
  static Item item(const Tensor& in, std::int64_t index) {
    return static_cast<Item>(int{in.codes[index]} - int{in.grid.zero_point});
  }
  static const std::int8_t* weights(const Step& step) { return step.node->weights.codes.data(); }
};

struct FloatPatch {
  using Item = float;
  using Sum = float;
  static Item item(const Tensor& in, std::int64_t index) { return in.at(index); }
  static const float* weights(const Step& step) {
    return step.node->weights.bits == 32 ? step.node->weights.values.data() : step.weights.data();
  }
};

void emit(const Step& step, std::int64_t channel, std::int64_t index, std::int32_t sum) {
  const auto c = static_cast<std::size_t>(channel);
  if (!step.node->bias_codes.empty()) sum += step.node->bias_codes[c];
  const float scaled = static_cast<float>(sum) * step.multipliers[c];
  const Tensor& out = step.output;
  if (out.is_codes()) {
    out.codes[index] = saturated_code(scaled, out.grid.zero_point, step.low_code, step.high_code);
  } else {
    out.values[index] = scaled;
  }
}

void emit(const Step& step, std::int64_t channel, std::int64_t index, float sum) {
  if (!step.node->bias.empty()) sum += step.node->bias[static_cast<std::size_t>(channel)];
  store(step.output, index, 1, &sum);
}

// The window of one output pixel over channels [first, first + channels); zero outside.
template <typename Patch>
void gather(const Step& step, std::int64_t first, std::int64_t channels, std::int64_t top,
            std::int64_t left, typename Patch::Item* patch) {
  const Tensor& in = step.inputs[0];
  const auto [height, width] = Pair{in.shape[1], in.shape[2]};
  const auto [kernel_height, kernel_width] = step.node->kernel;
  const std::int64_t begin = std::clamp<std::int64_t>(-left, 0, kernel_width);
  const std::int64_t end = std::clamp<std::int64_t>(width - left, begin, kernel_width);
  for (std::int64_t c = first; c < first + channels; ++c) {
    for (std::int64_t ky = 0; ky < kernel_height; ++ky, patch += kernel_width) {
      const std::int64_t y = top + ky;
      if (y < 0 || y >= height) {
        std::fill_n(patch, kernel_width, typename Patch::Item{});
        continue;
      }
      const std::int64_t row = (c * height + y) * width + left;
      std::fill(patch, patch + begin, typename Patch::Item{});
      for (std::int64_t kx = begin; kx < end; ++kx) patch[kx] = Patch::item(in, row + kx);
      std::fill(patch + end, patch + kernel_width, typename Patch::Item{});
    }
  }
}

template <typename Patch>
void convolve(const Step& step) {
  using Item = typename Patch::Item;
  const Node& node = *step.node;
  const Shape& out = step.output.shape;
  auto* patch = reinterpret_cast<Item*>(step.scratch);
  auto* sums =
      reinterpret_cast<typename Patch::Sum*>(step.scratch + patch_bytes(step.row, sizeof(Item)));
  const std::int64_t in_channels = step.inputs[0].shape[0] / node.groups;
  const std::int64_t out_channels = node.out / node.groups;
  const std::int64_t pixels = out[1] * out[2];
  for (std::int64_t group = 0; group < node.groups; ++group) {
    const std::int64_t channel = group * out_channels;
    const auto* weights = Patch::weights(step) + channel * step.row;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      gather<Patch>(step, group * in_channels, in_channels,
                    pixel / out[2] * node.stride[0] - node.padding[0],
                    pixel % out[2] * node.stride[1] - node.padding[1], patch);
      dot_rows(patch, weights, out_channels, step.row, sums);
      for (std::int64_t c = 0; c < out_channels; ++c)
        emit(step, channel + c, (channel + c) * pixels + pixel, sums[c]);
    }
  }
}

template <typename Patch>
void multiply(const Step& step) {
  using Item = typename Patch::Item;
  auto* patch = reinterpret_cast<Item*>(step.scratch);
  auto* sums =
      reinterpret_cast<typename Patch::Sum*>(step.scratch + patch_bytes(step.row, sizeof(Item)));
  const std::int64_t channels = step.node->out;
  const Tensor& in = step.inputs[0];
  for (std::int64_t begin = 0, out = 0; begin < in.size; begin += step.row, out += channels) {
    for (std::int64_t i = 0; i < step.row; ++i) patch[i] = Patch::item(in, begin + i);
    dot_rows(patch, Patch::weights(step), channels, step.row, sums);
    for (std::int64_t c = 0; c < channels; ++c) emit(step, c, out + c, sums[c]);
  }
}

}  // namespace

void prepare_product(Step& step, bool is_integer, const Grid* input, const Grid* output,
                     const Node* relu, std::int64_t row) {
  const Weights& weights = step.node->weights;
  step.row = row;
  const std::int64_t item = is_integer ? sizeof(std::int16_t) : sizeof(float);
  step.scratch_bytes = patch_bytes(row, item) + 4 * step.node->out;
  if (!is_integer) return;
  for (const float scale : weights.scales) {
    const float to_value = input->scale * scale;
    step.multipliers.push_back(output == nullptr ? to_value : to_value / output->scale);
  }
  if (relu != nullptr) fold_relu(step, *relu, *output);
}

void fold_relu(Step& step, const Node& relu, const Grid& output) {
  step.low_code = output.zero_point;
  if (relu.op == Op::relu6) step.high_code = code_of(6.0F, output);
}

void run_conv2d(const Step& step) {
  step.multipliers.empty() ? convolve<FloatPatch>(step) : convolve<IntegerPatch>(step);
}

void run_linear(const Step& step) {
  step.multipliers.empty() ? multiply<FloatPatch>(step) : multiply<IntegerPatch>(step);
}

}  // namespace coppice::runtime
