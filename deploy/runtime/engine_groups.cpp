// Convolutions with groups, but depthwise ones of integers.

#include <algorithm>  // for fill_n, min

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"
#include "deploy/runtime/operand.h"
#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

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
COPPICE_CLONES
void add_window(const float* x, std::int64_t row_step, const Pair& kernel, const float* weights,
                std::int64_t channels, float* sums) {
  for (std::int64_t ky = 0; ky < kernel[0]; ++ky, x += row_step) {
    const float* at = x;
    for (std::int64_t kx = 0; kx < kernel[1]; ++kx, at += channels, weights += channels) {
      for (std::int64_t c = 0; c < channels; ++c) sums[c] += at[c] * weights[c];
    }
  }
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

// The sums of a pixel lie behind the operand.
template <typename Sum, typename Item>
Sum* sums_behind(const EngineStep& step, const Item*) {
  const std::int64_t elements = padded(*step.step.node, step.step.inputs[0].shape).elements;
  const auto bytes = (elements + kSpare) * static_cast<std::int64_t>(sizeof(Item));
  return reinterpret_cast<Sum*>(step.step.scratch + aligned(bytes));
}

// Calls window(x, first element of the output) for every output pixel, x being the first place of
// its window in `operand`.
template <typename Item, typename Window>
void for_windows(const EngineStep& step, Item* operand, const Window& window) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const Shape& out = step.step.output.shape;
  bring_padded(node, in, operand);
  const std::int64_t row = padded(node, in.shape).width * in.shape[0];
  for (std::int64_t y = 0; y < out[1]; ++y) {
    const Item* x = operand + y * node.stride[0] * row;
    for (std::int64_t i = 0; i < out[2]; ++i, x += node.stride[1] * in.shape[0])
      window(x, (y * out[2] + i) * node.out);
  }
}

void run_float_depthwise(const EngineStep& step) {
  const Node& node = *step.step.node;
  auto* operand = reinterpret_cast<float*>(step.step.scratch);
  auto* sums = sums_behind<float>(step, operand);
  const std::int64_t row = padded(node, step.step.inputs[0].shape).width * node.out;
  for_windows(step, operand, [&](const float* x, std::int64_t at) {
    std::fill_n(sums, node.out, 0.0F);
    add_window(x, row, node.kernel, step.values, node.out, sums);
    finish(step, at, sums);
  });
}

// Groups of several channels: tap by tap, all groups at once.
template <typename Item, typename Sum>
void run_taps(const EngineStep& step, const Item* taps) {
  const Node& node = *step.step.node;
  auto* operand = reinterpret_cast<Item*>(step.step.scratch);
  auto* sums = sums_behind<Sum>(step, operand);
  const std::int64_t channels = step.step.inputs[0].shape[0];
  const std::int64_t row = padded(node, step.step.inputs[0].shape).width * channels;
  const std::int64_t depth = step.shape.depth;
  const std::int64_t group_out = node.out / node.groups;
  for_windows(step, operand, [&](const Item* x, std::int64_t to) {
    std::fill_n(sums, node.out, Sum{});
    const Item* weights = taps;
    for (std::int64_t tap = 0; tap < step.shape.taps; ++tap) {
      const Item* at = x + tap / node.kernel[1] * row + tap % node.kernel[1] * channels;
      for (std::int64_t i = 0; i < depth; ++i, weights += node.out) {
        for (std::int64_t group = 0; group < node.groups; ++group) {
          add_scaled(at[group * depth + i], weights + group * group_out, group_out,
                     sums + group * group_out);
        }
      }
    }
    finish(step, to, sums);
  });
}

void run_integer_groups(const EngineStep& step) {
  run_taps<std::int16_t, std::int32_t>(step, step.integer_taps.data());
}

void run_float_groups(const EngineStep& step) { run_taps<float, float>(step, step.taps.data()); }

// Weights in rows, [channel][input channel][tap], as [tap][input channel][channel].
template <typename From, typename To>
void transpose(const ProductShape& shape, const From* rows, std::vector<To>& taps) {
  for (std::int64_t tap = 0; tap < shape.taps; ++tap) {
    for (std::int64_t input = 0; input < shape.depth; ++input) {
      for (std::int64_t channel = 0; channel < shape.out; ++channel)
        taps.push_back(rows[channel * shape.row() + input * shape.taps + tap]);
    }
  }
}

}  // namespace

void plan_groups(EngineStep& step) {
  step.step.scratch_bytes = aligned(step.step.scratch_bytes) + 4 * step.shape.out;
  if (step.shape.is_depthwise()) {
    step.run = run_float_depthwise;
  } else if (step.shape.is_integer()) {
    transpose(step.shape, step.codes, step.integer_taps);
    step.run = run_integer_groups;
  } else {
    transpose(step.shape, step.values, step.taps);
    step.run = run_float_groups;
  }
}

}  // namespace coppice::runtime
