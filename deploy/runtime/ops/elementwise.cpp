// Operations that work element by element, and those that only rearrange.

#include <algorithm>  // for min
#include <cmath>      // for erf
#include <limits>     // for numeric_limits
#include <numbers>    // for sqrt2_v

#include "deploy/runtime/step.h"
#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

COPPICE_CLONES
void add(const float* other, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] += other[i];
}

COPPICE_CLONES
void normalize(float mean, float deviation, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = (values[i] - mean) / deviation;
}

// Negative ones times `slope`, and none above `most`.
COPPICE_CLONES
void rectify(float slope, float most, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = values[i] > 0.0F ? values[i] : slope == 0.0F ? 0.0F : values[i] * slope;
    values[i] = most < x ? most : x;
  }
}

template <typename Function>
void apply(const Function& function, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = function(values[i]);
}

void activate(const Node& node, std::int64_t count, float* values) {
  constexpr float kNoMost = std::numeric_limits<float>::infinity();
  switch (node.op) {
    case Op::normalize:
      return normalize(node.mean, node.deviation, count, values);
    case Op::relu:
      return rectify(0.0F, kNoMost, count, values);
    case Op::relu6:
      return rectify(0.0F, 6.0F, count, values);
    case Op::leaky_relu:
      return rectify(node.slope, kNoMost, count, values);
    case Op::gelu:
      return apply(
          [](float x) { return 0.5F * x * (1.0F + std::erf(x / std::numbers::sqrt2_v<float>)); },
          count, values);
    case Op::tanh:
      return apply([](float x) { return std::tanh(x); }, count, values);
    case Op::sigmoid:
      return apply([](float x) { return 1.0F / (1.0F + std::exp(-x)); }, count, values);
    default:
      return;  // input, add
  }
}

}  // namespace

void elementwise_values(const Step& step, std::int64_t begin, std::int64_t count, float* values) {
  float other[kPiece];
  load(step.inputs[0], begin, count, values);
  for (std::size_t k = 1; k < step.inputs.size(); ++k) {
    load(step.inputs[k], begin, count, other);
    add(other, count, values);
  }
  activate(*step.node, count, values);
}

void run_elementwise(const Step& step) {
  float values[kPiece];
  for (std::int64_t begin = 0; begin < step.output.size; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, step.output.size - begin);
    elementwise_values(step, begin, count, values);
    store(step.output, begin, count, values);
  }
}

void run_channel_scale(const Step& step) {
  const Tensor& in = step.inputs[0];
  const std::int64_t pixels = in.shape[1] * in.shape[2];
  for (std::int64_t i = 0; i < in.size; ++i) {
    const float value = in.at(i) * step.inputs[1].at(i / pixels);
    store(step.output, i, 1, &value);
  }
}

// Images join whole channels; sequences and vectors the features of every step.
void run_concat(const Step& step) {
  const Tensor& out = step.output;
  const std::int64_t steps = out.shape.size() == 2 ? out.shape[0] : 1;
  const std::int64_t out_row = out.size / steps;
  float piece[kPiece];
  std::int64_t at = 0;
  for (const Tensor& in : step.inputs) {
    const std::int64_t row = in.size / steps;
    for (std::int64_t i = 0; i < steps; ++i) {
      for (std::int64_t begin = 0; begin < row; begin += kPiece) {
        const std::int64_t count = std::min(kPiece, row - begin);
        load(in, i * row + begin, count, piece);
        store(out, i * out_row + at + begin, count, piece);
      }
    }
    at += row;
  }
}

void run_slice(const Step& step) {
  move_elements(step.inputs[0], step.node->begin, step.output, 0, step.node->length);
}

void run_last_step(const Step& step) {
  const std::int64_t features = step.output.size;
  move_elements(step.inputs[0], step.inputs[0].size - features, step.output, 0, features);
}

}  // namespace coppice::runtime
