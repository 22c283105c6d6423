#include "algorithms/block_axes.h"

#include <algorithm>  // for find_if

namespace coppice {
namespace {

const Node& node_at(const Graph& graph, int index) {
  return graph.nodes()[static_cast<std::size_t>(index)];
}

// Whether a vector's elements leave the operation in the order that they came in.
bool keeps_order(OpKind op) {
  switch (op) {
    case OpKind::flatten:
    case OpKind::dropout:
    case OpKind::normalize:
    case OpKind::relu:
    case OpKind::relu6:
    case OpKind::leaky_relu:
    case OpKind::gelu:
    case OpKind::tanh:
    case OpKind::sigmoid:
    case OpKind::add:
      return true;
    default:
      return false;
  }
}

// The image that the input of `linear` was, or an empty shape.
Shape flattened_image(const Graph& graph, const Node& linear) {
  const Node* from = &node_at(graph, linear.inputs[0]);
  while (from->shape.size() != 3) {
    if (!keeps_order(from->op)) return {};
    from = &node_at(graph, from->inputs[0]);
  }
  return from->shape;
}

}  // namespace

ParameterSpec with_block_axes(const Graph& graph, const ParameterSpec& parameter) {
  ParameterSpec out = parameter;
  const int index = graph.parameter_named(parameter.name);
  const auto reader = std::ranges::find_if(graph.nodes(), [&](const Node& node) {
    return node.op == OpKind::linear && node.parameters.front() == index;
  });
  if (reader == graph.nodes().end()) return out;
  const Shape image = flattened_image(graph, *reader);
  // An image of one channel or one pixel has its elements in one order only.
  if (image.empty() || image[0] == 1 || image[1] * image[2] == 1) return out;
  out.shape = {parameter.shape[0], image[0], image[1], image[2]};
  return out;
}

}  // namespace coppice
