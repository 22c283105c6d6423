#include "models/fake_quant.h"

#include <algorithm>  // for all_of, clamp
#include <cmath>      // for abs, isfinite, nearbyint

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr int kLargestCode = 255;  // of an activation

bool is_scale(float scale) { return std::isfinite(scale) && scale > 0.0F; }

void check(const WeightQuant& quant, const ParameterSpec& parameter) {
  if (!is_weight_bits(quant.bits)) {
    throw ConfigError(text("quantization of '", quant.parameter,
                           "': expected 2, 3, 4, 6, 7 or 8 bits, got ", quant.bits));
  }
  const std::int64_t channels = parameter.shape.empty() ? 0 : parameter.shape[0];
  if (static_cast<std::int64_t>(quant.scales.size()) != channels) {
    throw ConfigError(text("quantization of '", quant.parameter, "': expected ", channels,
                           " scales, got ", quant.scales.size()));
  }
  if (!std::ranges::all_of(quant.scales, is_scale)) {
    throw ConfigError(
        text("quantization of '", quant.parameter, "': a scale is not positive and finite"));
  }
}

void check(const ActivationQuant& quant) {
  if (!is_scale(quant.scale) || quant.zero_point < 0 || quant.zero_point > kLargestCode) {
    throw ConfigError(text("quantization of node '", quant.node,
                           "': expected a positive finite scale and a zero point in [0, ",
                           kLargestCode, "], got ", quant.scale, " and ", quant.zero_point));
  }
}

// To the nearest integer, half to even, for |x| < 2^22: the sum has no bits below the integers.
float round_half_even(float x) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23
  return (x + kShift) - kShift;
}

}  // namespace

// The limits are integers, so clamping first gives the same code, and numbers that can be rounded.
void to_grid(const float* in, float* out, std::int64_t n, const NodeGrid& grid) {
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] =
        round_half_even(std::clamp(in[i] / grid.scale, grid.lowest, grid.highest)) * grid.scale;
  }
}

FakeQuant::FakeQuant(const Graph& graph, const QuantPlan& plan)
    : has_weight_(graph.parameters().size()), activations_(graph.nodes().size()) {
  for (const WeightQuant& quant : plan.weights) {
    const int index = graph.parameter_named(quant.parameter);
    if (index < 0)
      throw ConfigError(text("quantization: the graph has no parameter '", quant.parameter, "'"));
    const ParameterSpec& parameter = graph.parameters()[static_cast<std::size_t>(index)];
    check(quant, parameter);
    weights_.push_back({.offset = parameter.offset,
                        .channel_size = parameter.size() / parameter.shape[0],
                        .limit = static_cast<float>(largest_code(quant.bits)),
                        .scales = quant.scales});
    has_weight_[static_cast<std::size_t>(index)] = true;
  }
  for (const ActivationQuant& quant : plan.activations) {
    const int index = graph.node_named(quant.node);
    if (index < 0)
      throw ConfigError(text("quantization: the graph has no node '", quant.node, "'"));
    check(quant);
    activations_[static_cast<std::size_t>(index)] = &quant;
  }
  add_biases(graph, plan);
}

void FakeQuant::add_biases(const Graph& graph, const QuantPlan& plan) {
  for (const Node& node : graph.nodes()) {
    const bool is_product = node.op == OpKind::conv2d || node.op == OpKind::linear;
    if (!is_product || node.parameters.size() < 2) continue;
    const auto parameter = [&](std::size_t i) -> const ParameterSpec& {
      return graph.parameters()[static_cast<std::size_t>(node.parameters[i])];
    };
    const WeightQuant* weight = plan.weight(parameter(0).name);
    const ActivationQuant* input = grid_of(graph, plan, node.inputs.front());
    if (weight == nullptr || input == nullptr) continue;
    Bias bias{.offset = parameter(1).offset, .scales = {}};
    for (const float scale : weight->scales)
      bias.scales.push_back(double{input->scale} * double{scale});
    biases_.push_back(std::move(bias));
    has_weight_[static_cast<std::size_t>(node.parameters[1])] = true;
  }
}

void FakeQuant::quantize_weights(const float* weights, float* quantized) const {
  for (const Weight& weight : weights_) {
    const float* in = weights + weight.offset;
    float* out = quantized + weight.offset;
    for (const float scale : weight.scales) {
      to_grid(in, out, weight.channel_size,
              {.scale = scale, .lowest = -weight.limit, .highest = weight.limit});
      in += weight.channel_size;
      out += weight.channel_size;
    }
  }
  for (const Bias& bias : biases_) {
    for (std::size_t c = 0; c < bias.scales.size(); ++c) {
      const auto at = bias.offset + static_cast<std::int64_t>(c);
      quantized[at] =
          static_cast<float>(std::nearbyint(double{weights[at]} / bias.scales[c]) * bias.scales[c]);
    }
  }
}

void FakeQuant::stop_saturated(const float* weights, float* gradient,
                               std::int64_t gradient_begin) const {
  for (const Weight& weight : weights_) {
    if (weight.offset < gradient_begin) continue;
    const float* in = weights + weight.offset;
    float* out = gradient + (weight.offset - gradient_begin);
    const float end = weight.limit + 0.5F;  // rounds to the even code limit + 1
    for (const float scale : weight.scales) {
      for (std::int64_t i = 0; i < weight.channel_size; ++i) {
        out[i] = std::abs(in[i] / scale) >= end ? 0.0F : out[i];
      }
      in += weight.channel_size;
      out += weight.channel_size;
    }
  }
}

std::optional<NodeGrid> FakeQuant::grid(std::size_t node) const {
  const ActivationQuant* quant = activations_[node];
  if (quant == nullptr) return {};
  return NodeGrid{.scale = quant->scale,
                  .lowest = static_cast<float>(-quant->zero_point),
                  .highest = static_cast<float>(kLargestCode - quant->zero_point)};
}

}  // namespace coppice
