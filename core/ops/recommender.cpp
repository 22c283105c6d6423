// embedding_bag and dot_interaction: the sparse half of recommendation models.

#include "core/op_rules.h"

namespace coppice::ops {
namespace {

Shape embedding_bag_shape(const NodeView& node) {
  need_inputs(node, 1);
  need_rank(node, 0, 1, "a vector of ids");
  need_positive(node, "vocabulary", node.attributes.vocabulary);
  need_positive(node, "out", node.attributes.out);
  return {node.attributes.out};
}

std::vector<ParameterSpec> embedding_bag_parameters(const NodeView& node) {
  return {{.name = "weight",
           .shape = {node.attributes.vocabulary, node.attributes.out},
           .initializer = Initializer::kNormal}};
}

Labels couple_embedding_bag(CouplingPass& pass) {
  Labels out = pass.fresh(pass.node().attributes.out);
  pass.mark(0, 1, out, true);
  return out;
}

void shrink_embedding_bag(Attributes& a, const Shape&, const KeptAxes& axes) {
  a.out = axes.kept(0, 1);
}

Shape dot_interaction_shape(const NodeView& node) {
  if (node.inputs.size() < 2)
    fail_layer(node, "expected at least 2 inputs, got ", node.inputs.size());
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    need_rank(node, i, 1, "a vector");
    if (node.inputs[i] != node.inputs[0]) {
      fail_layer(node, "expected vectors of one length, got ", node.inputs[0][0], " and ",
                 node.inputs[i][0]);
    }
  }
  const auto count = static_cast<std::int64_t>(node.inputs.size());
  return {count * (count - 1) / 2};
}

std::int64_t dot_interaction_macs(const NodeView& node, const Shape& output) {
  return output[0] * node.inputs[0][0];
}

// A dot product needs the same dimension of all its vectors; its results are pairs, which stay.
Labels couple_dot_interaction(CouplingPass& pass) {
  for (std::size_t i = 1; i < pass.node().inputs.size(); ++i) {
    for (std::size_t c = 0; c < pass.input(0).size(); ++c)
      pass.unite(pass.input(0)[c], pass.input(i)[c]);
  }
  Labels out = pass.fresh(pass.node().shape[0]);
  pass.freeze(out);
  return out;
}

}  // namespace

const OpRules embedding_bag_rules{embedding_bag_shape, embedding_bag_parameters, no_macs,
                                  couple_embedding_bag, shrink_embedding_bag};
const OpRules dot_interaction_rules{dot_interaction_shape, no_parameters, dot_interaction_macs,
                                    couple_dot_interaction, keep_attributes};

}  // namespace coppice::ops
