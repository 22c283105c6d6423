#include "models/frozen.h"

#include <algorithm>  // for count_if

namespace coppice {
namespace {

bool has_weights(const Node& node) {
  const bool is_norm = node.op == OpKind::group_norm || node.op == OpKind::batch_norm ||
                       node.op == OpKind::layer_norm;
  return !node.parameters.empty() && !is_norm;
}

}  // namespace

FrozenPart frozen_part(const Graph& graph, std::int64_t layers) {
  FrozenPart part;
  if (layers <= 0) return part;
  std::int64_t seen = 0;
  for (const Node& node : graph.nodes()) {
    if (has_weights(node) && ++seen > layers) break;
    ++part.nodes;
    for (const int index : node.parameters)
      part.parameters += graph.parameters()[static_cast<std::size_t>(index)].size();
  }
  return part;
}

std::int64_t weight_layers(const Graph& graph) {
  return std::ranges::count_if(graph.nodes(), has_weights);
}

}  // namespace coppice
