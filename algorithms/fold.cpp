#include "algorithms/fold.h"

#include <algorithm>  // for copy
#include <cmath>      // for sqrt
#include <map>        // for map
#include <string>     // for string

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

using Tensors = std::map<std::string, std::vector<float>>;  // by parameter name

Tensors split(const Graph& graph, std::span<const float> parameters) {
  Tensors out;
  for (const ParameterSpec& parameter : graph.parameters()) {
    const auto values = parameters.subspan(static_cast<std::size_t>(parameter.offset),
                                           static_cast<std::size_t>(parameter.size()));
    out[parameter.name].assign(values.begin(), values.end());
  }
  return out;
}

bool is_foldable(const Graph& graph, const std::vector<int>& reader_counts, const Node& norm) {
  if (norm.op != OpKind::batch_norm) return false;
  const auto before = static_cast<std::size_t>(norm.inputs.front());
  const OpKind op = graph.nodes()[before].op;
  return reader_counts[before] == 1 && (op == OpKind::conv2d || op == OpKind::linear);
}

std::vector<int> count_readers(const Graph& graph) {
  std::vector<int> out(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    for (const int input : node.inputs) ++out[static_cast<std::size_t>(input)];
  }
  return out;
}

// Scales the layer's weight and bias in place; a layer without a bias gets one.
void scale_layer(const std::string& layer, const std::string& norm, double epsilon,
                 Tensors& tensors) {
  std::vector<float>& weight = tensors.at(layer + ".weight");
  std::vector<float>& bias = tensors[layer + ".bias"];
  const std::vector<float>& mean = tensors.at(norm + ".running_mean");
  const std::vector<float>& variance = tensors.at(norm + ".running_var");
  bias.resize(mean.size());
  const std::size_t row = weight.size() / mean.size();
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double gain =
        double{tensors.at(norm + ".weight")[c]} / std::sqrt(double{variance[c]} + epsilon);
    for (std::size_t i = c * row; i < (c + 1) * row; ++i)
      weight[i] = static_cast<float>(double{weight[i]} * gain);
    bias[c] = static_cast<float>((double{bias[c]} - double{mean[c]}) * gain +
                                 double{tensors.at(norm + ".bias")[c]});
  }
}

}  // namespace

FoldedModel fold_batch_norm(const Graph& graph, std::span<const float> parameters) {
  if (static_cast<std::int64_t>(parameters.size()) != graph.parameter_count()) {
    throw ConfigError(
        text("fold: expected ", graph.parameter_count(), " parameters, got ", parameters.size()));
  }
  const std::vector<int> reader_counts = count_readers(graph);
  Tensors tensors = split(graph, parameters);
  std::vector<LayerSpec> layers;
  std::map<std::string, std::string> renamed;  // folded batch_norm -> its convolution
  for (std::size_t i = 0; i < graph.layers().size(); ++i) {
    const Node& node = graph.nodes()[i + 1];
    LayerSpec layer = graph.layers()[i];
    for (std::string& input : layer.inputs) {
      if (const auto found = renamed.find(input); found != renamed.end()) input = found->second;
    }
    if (!is_foldable(graph, reader_counts, node)) {
      layers.push_back(std::move(layer));
      continue;
    }
    const std::string& folded_into = layer.inputs.front();
    std::ranges::find(layers, folded_into, &LayerSpec::name)->attributes.bias = true;
    scale_layer(folded_into, layer.name, layer.attributes.epsilon, tensors);
    renamed[layer.name] = folded_into;
  }
  FoldedModel out{Graph::build(graph.input(), std::move(layers)), {}};
  for (const ParameterSpec& parameter : out.graph.parameters()) {
    const std::vector<float>& values = tensors.at(parameter.name);
    out.parameters.insert(out.parameters.end(), values.begin(), values.end());
  }
  return out;
}

}  // namespace coppice
