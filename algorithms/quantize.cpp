#include "algorithms/quantize.h"

#include <algorithm>  // for max
#include <bit>        // for bit_cast
#include <cmath>      // for nearbyint

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// A channel of zeros still carries a bias on the grid of its scale: fine enough for the bias,
// coarse enough for 31 bits.
constexpr float kSmallestMagnitude = 1.0F / 64.0F;
constexpr float kZeroChannel = 1.0F / 4096.0F;
constexpr int kClippingSteps = 64;  // of the largest magnitude

bool is_image(const Node& node) { return node.shape.size() == 3; }

bool reads_codes(OpKind op) { return op == OpKind::conv2d || op == OpKind::linear; }

// Operations that a runtime computes on the way out of the one before, in fp32.
bool continues_chain(OpKind op) {
  switch (op) {
    case OpKind::relu:
    case OpKind::relu6:
    case OpKind::leaky_relu:
    case OpKind::gelu:
    case OpKind::tanh:
    case OpKind::sigmoid:
    case OpKind::group_norm:
    case OpKind::batch_norm:
    case OpKind::layer_norm:
      return true;
    default:
      return false;
  }
}

std::vector<std::vector<int>> consumers(const Graph& graph) {
  std::vector<std::vector<int>> out(graph.nodes().size());
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    for (const int input : graph.nodes()[i].inputs)
      out[static_cast<std::size_t>(input)].push_back(static_cast<int>(i));
  }
  return out;
}

// Whether someone reads the tensor as codes, directly or through nodes that only move values.
bool is_read_as_codes(const Graph& graph, const std::vector<std::vector<int>>& readers, int node) {
  return std::ranges::any_of(readers[static_cast<std::size_t>(node)], [&](int reader) {
    const Node& consumer = graph.nodes()[static_cast<std::size_t>(reader)];
    if (reads_codes(consumer.op)) return true;
    if (moves_values(consumer.op)) return is_read_as_codes(graph, readers, reader);
    return is_image(graph.nodes()[static_cast<std::size_t>(node)]);
  });
}

bool has_own_grid(const Graph& graph, const std::vector<std::vector<int>>& readers, int index) {
  const Node& node = graph.nodes()[static_cast<std::size_t>(index)];
  const auto& to = readers[static_cast<std::size_t>(index)];
  if (to.empty() || moves_values(node.op)) return false;
  if (node.op == OpKind::input) {
    // Ids are no values; pixels are quantized after the normalization, if there is one.
    const bool is_normalized = std::ranges::any_of(to, [&](int reader) {
      return graph.nodes()[static_cast<std::size_t>(reader)].op == OpKind::normalize;
    });
    if (graph.input().type != ElementType::kFloat32 || is_normalized) return false;
  } else if (to.size() == 1 && node.op != OpKind::normalize &&
             continues_chain(graph.nodes()[static_cast<std::size_t>(to.front())].op)) {
    return false;
  }
  return is_read_as_codes(graph, readers, index);
}

// To the nearest integer, half to even, for |x| < 2^22: the sum has no bits below the integers.
// Much faster than nearbyint() where that is a call.
float round_half_even(float x) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23
  return (x + kShift) - kShift;
}

// The limits are integers, so clamping first gives the same code.
float code_of(float value, float scale, float limit) {
  return round_half_even(std::clamp(value / scale, -limit, limit));
}

double squared_error(std::span<const float> values, float scale, float limit) {
  double error = 0.0;
  for (const float value : values) {
    const double difference = double{value} - double{code_of(value, scale, limit)} * double{scale};
    error += difference * difference;
  }
  return error;
}

// In steps, the least clipping that is tried. The fewer codes, the more of a normal distribution
// they cut off: at 2 bits the best scale is 1.2 deviations, where the largest of many weights
// has 4.
int least_clipping(int bits) {
  if (bits <= 2) return kClippingSteps / 8;
  return bits == 3 ? kClippingSteps / 4 : kClippingSteps / 2;
}

// Clipping a few large weights leaves a finer grid for the others, which pays at few bits.
float least_error_scale(std::span<const float> values, float largest, int bits) {
  const auto limit = static_cast<float>(largest_code(bits));
  float best = short_scale(largest / limit);
  double least = squared_error(values, best, limit);
  for (int i = kClippingSteps - 1; i >= least_clipping(bits); --i) {
    const float clip = largest * static_cast<float>(i) / static_cast<float>(kClippingSteps);
    const float scale = short_scale(clip / limit);
    const double error = squared_error(values, scale, limit);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

float largest_magnitude(std::span<const float> values) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

std::span<const float> channel_of(std::span<const float> values, std::size_t channels,
                                  std::size_t channel) {
  const std::size_t size = values.size() / channels;
  return values.subspan(channel * size, size);
}

}  // namespace

std::vector<std::string> quantized_nodes(const Graph& graph) {
  const auto readers = consumers(graph);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (has_own_grid(graph, readers, static_cast<int>(i))) out.push_back(graph.nodes()[i].name);
  }
  return out;
}

std::vector<std::string> quantized_parameters(const Graph& graph) {
  std::vector<std::string> out;
  for (const Node& node : graph.nodes()) {
    if (reads_codes(node.op) || node.op == OpKind::embedding || node.op == OpKind::embedding_bag) {
      const auto weight = static_cast<std::size_t>(node.parameters.front());
      out.push_back(graph.parameters()[weight].name);
    }
  }
  return out;
}

float short_scale(float scale) {
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(scale) & 0xFFFF0000U) | 0x8000U);
}

WeightQuant weight_quant(const ParameterSpec& parameter, std::span<const float> values, int bits) {
  if (!is_weight_bits(bits)) {
    throw ConfigError(
        text("parameter '", parameter.name, "': expected 2, 3, 4, 6, 7 or 8 bits, got ", bits));
  }
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
    throw DataError(text("parameter '", parameter.name, "': a value is not finite"));
  const auto limit = static_cast<float>(largest_code(bits));
  const float most = largest_magnitude(values);
  const float reference = most == 0.0F ? 1.0F : std::max(most, kSmallestMagnitude);
  const float floor = reference * kZeroChannel / limit;
  WeightQuant out{.parameter = parameter.name, .bits = bits, .scales = {}};
  const auto channels = static_cast<std::size_t>(parameter.shape.front());
  for (std::size_t c = 0; c < channels; ++c) {
    const auto channel = channel_of(values, channels, c);
    const float largest = largest_magnitude(channel);
    // Short scales move the largest weight's code by less than half: 127 x 2^-8.
    const float scale =
        bits > 6 || largest == 0.0F ? largest / limit : least_error_scale(channel, largest, bits);
    out.scales.push_back(short_scale(std::max(scale, floor)));
  }
  return out;
}

std::vector<WeightQuant> weight_grids(const Graph& graph, std::span<const float> parameters,
                                      int bits) {
  const std::vector<int> each(quantized_parameters(graph).size(), bits);
  return weight_grids(graph, parameters, each);
}

std::vector<WeightQuant> weight_grids(const Graph& graph, std::span<const float> parameters,
                                      std::span<const int> bits) {
  const std::vector<std::string> names = quantized_parameters(graph);
  if (bits.size() != names.size())
    throw ConfigError(
        text("expected the bits of ", names.size(), " parameters, got ", bits.size()));
  std::vector<WeightQuant> out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const ParameterSpec& parameter =
        graph.parameters()[static_cast<std::size_t>(graph.parameter_named(names[i]))];
    const auto values = parameters.subspan(static_cast<std::size_t>(parameter.offset),
                                           static_cast<std::size_t>(parameter.size()));
    out.push_back(weight_quant(parameter, values, bits[i]));
  }
  return out;
}

std::vector<std::int8_t> weight_codes(std::span<const float> values, const WeightQuant& quant) {
  const auto limit = static_cast<float>(largest_code(quant.bits));
  const std::size_t size = values.size() / quant.scales.size();
  std::vector<std::int8_t> out;
  out.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    out.push_back(static_cast<std::int8_t>(code_of(values[i], quant.scales[i / size], limit)));
  }
  return out;
}

void fake_quantize(std::span<float> values, const WeightQuant& quant) {
  const auto limit = static_cast<float>(largest_code(quant.bits));
  const std::size_t size = values.size() / quant.scales.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = quant.scales[i / size];
    values[i] = code_of(values[i], scale, limit) * scale;
  }
}

std::vector<std::int32_t> bias_codes(std::span<const float> bias, float input_scale,
                                     const WeightQuant& quant) {
  std::vector<std::int32_t> out;
  out.reserve(bias.size());
  for (std::size_t c = 0; c < bias.size(); ++c) {
    const double scale = double{input_scale} * double{quant.scales.at(c)};
    const double code = std::nearbyint(double{bias[c]} / scale);
    if (!(std::abs(code) < 1073741824.0)) {
      throw DataError(text("bias beside '", quant.parameter, "', channel ", c, ": ", bias[c],
                           " does not fit 31 bits at scale ", scale));
    }
    out.push_back(static_cast<std::int32_t>(code));
  }
  return out;
}

}  // namespace coppice
