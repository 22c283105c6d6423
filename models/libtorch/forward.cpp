#include "models/libtorch/forward.h"

#include <cstddef>  // for size_t

#include "models/libtorch/on_grid.h"

namespace coppice::libtorch {
namespace {

using Run = at::Tensor (*)(const OpCall&);

constexpr Run kRuns[] = {
#define COPPICE_OP(name, coupling, onnx, runtime) run_##name,
#include "core/ops.def"
#undef COPPICE_OP
};

}  // namespace

Forward::Forward(const Graph& graph) {
  const std::vector<Node>& nodes = graph.nodes();
  std::vector<std::size_t> last_use(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    last_use[i] = i;
    for (const int input : nodes[i].inputs) last_use[static_cast<std::size_t>(input)] = i;
    const bool is_dropout = nodes[i].op == OpKind::dropout;
    steps_.push_back({.run = kRuns[static_cast<std::size_t>(nodes[i].op)],
                      .node = &nodes[i],
                      .releases = {},
                      .dropout_ordinal = is_dropout ? dropout_count_ : 0});
    if (is_dropout) ++dropout_count_;
  }
  for (std::size_t i = 0; i + 1 < nodes.size(); ++i) {
    steps_[last_use[i]].releases.push_back(static_cast<int>(i));
  }
}

at::Tensor Forward::run(std::span<const at::Tensor> parameters, const at::Tensor& samples,
                        const ForwardOptions& options) const {
  std::vector<at::Tensor> outputs(steps_.size());
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> node_parameters;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Node& node = *steps_[i].node;
    inputs.clear();
    for (const int input : node.inputs) inputs.push_back(outputs[static_cast<std::size_t>(input)]);
    if (node.op == OpKind::input) inputs.push_back(samples);
    node_parameters.clear();
    for (const int index : node.parameters) {
      node_parameters.push_back(parameters[static_cast<std::size_t>(index)]);
    }
    outputs[i] = steps_[i].run({.node = node,
                                .inputs = inputs,
                                .parameters = node_parameters,
                                .dropout = options.dropout,
                                .dropout_ordinal = steps_[i].dropout_ordinal,
                                .dropout_count = dropout_count_,
                                .first_sample = options.first_sample});
    if (options.quant != nullptr) {
      if (const auto grid = options.quant->grid(i)) outputs[i] = on_grid(*grid, outputs[i]);
    }
    if (options.visit) options.visit(i, outputs[i]);
    for (const int done : steps_[i].releases) outputs[static_cast<std::size_t>(done)].reset();
  }
  return outputs.back();
}

}  // namespace coppice::libtorch
