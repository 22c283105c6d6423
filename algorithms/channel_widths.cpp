#include "algorithms/channel_widths.h"

#include <algorithm>  // for any_of, find, max, none_of, stable_sort
#include <cmath>      // for llround

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// The parameters that are a product's weight, [out, in, ...], of all groups at once.
bool is_plain_weight(const Graph& graph, int parameter) {
  return std::ranges::any_of(graph.nodes(), [&](const Node& node) {
    const bool is_product =
        node.op == OpKind::linear || (node.op == OpKind::conv2d && node.attributes.groups == 1);
    return is_product && node.parameters.front() == parameter;
  });
}

// Whether no other matrix or tensor makes the group's channels. Norms and biases follow.
bool is_only_weight(const Graph& graph, const Coupling& coupling, const AxisUnits& axis,
                    int group) {
  return std::ranges::none_of(coupling.axes, [&](const AxisUnits& other) {
    const bool is_vector =
        graph.parameters()[static_cast<std::size_t>(other.parameter)].shape.size() == 1;
    return other.is_produced && !is_vector && other.parameter != axis.parameter &&
           std::ranges::any_of(other.units, [&](int unit) {
             return coupling.group_of_unit[static_cast<std::size_t>(unit)] == group;
           });
  });
}

}  // namespace

ChannelWidths::ChannelWidths(const Graph& graph, std::span<const float> parameters)
    : coupling_(couple(graph)) {
  const std::vector<double> scores = unit_magnitudes(graph, coupling_, parameters);
  for (const AxisUnits& axis : coupling_.axes) {
    if (!axis.is_produced || axis.axis != 0 || !is_plain_weight(graph, axis.parameter)) continue;
    const int at = coupling_.group_of_unit[static_cast<std::size_t>(axis.units.front())];
    const CouplingGroup& group = coupling_.groups[static_cast<std::size_t>(at)];
    const bool is_alone =
        group.is_prunable && group.layers.size() == 1 && is_only_weight(graph, coupling_, axis, at);
    if (!is_alone) continue;
    Layer& layer = layers_[graph.parameters()[static_cast<std::size_t>(axis.parameter)].name];
    layer.units = axis.units;
    layer.ranked = group.units;
    std::ranges::stable_sort(layer.ranked, [&](int a, int b) {
      return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
    });
  }
}

std::optional<std::span<const int>> ChannelWidths::best(std::string_view parameter,
                                                        double share) const {
  if (!(share > 0.0 && share < 1.0))
    throw ConfigError(text("widths: expected a share above 0 and below 1, got ", share));
  const auto found = layers_.find(parameter);
  if (found == layers_.end()) return std::nullopt;
  const std::vector<int>& ranked = found->second.ranked;
  const auto count = static_cast<std::size_t>(
      std::max<std::int64_t>(1, std::llround(share * static_cast<double>(ranked.size()))));
  if (count >= ranked.size()) return std::nullopt;
  return std::span(ranked).first(count);
}

std::optional<KeptChannels> ChannelWidths::kept(std::string_view parameter, double share) const {
  const auto units = best(parameter, share);
  if (!units) return std::nullopt;
  const std::vector<int>& all = layers_.find(parameter)->second.units;
  KeptChannels out;
  for (std::size_t channel = 0; channel < all.size(); ++channel) {
    if (std::ranges::find(*units, all[channel]) != units->end())
      out.push_back(static_cast<std::int64_t>(channel));
  }
  return out;
}

void ChannelWidths::remove(std::string_view parameter, double share,
                           std::span<std::uint8_t> keep) const {
  const auto units = best(parameter, share);
  if (!units) {
    throw ConfigError(
        text("widths: '", parameter, "' cannot keep ", share, " of its output channels by itself"));
  }
  for (const int unit : layers_.find(parameter)->second.ranked)
    keep[static_cast<std::size_t>(unit)] = 0;
  for (const int unit : *units) keep[static_cast<std::size_t>(unit)] = 1;
}

ParameterSpec narrowed(const ParameterSpec& parameter, const KeptChannels& channels) {
  ParameterSpec out = parameter;
  out.shape.front() = static_cast<std::int64_t>(channels.size());
  return out;
}

std::vector<float> narrowed(const ParameterSpec& parameter, std::span<const float> values,
                            const KeptChannels& channels) {
  const auto row = static_cast<std::size_t>(parameter.size() / parameter.shape.front());
  std::vector<float> out;
  out.reserve(channels.size() * row);
  for (const std::int64_t channel : channels) {
    const auto of_channel = values.subspan(static_cast<std::size_t>(channel) * row, row);
    out.insert(out.end(), of_channel.begin(), of_channel.end());
  }
  return out;
}

}  // namespace coppice
