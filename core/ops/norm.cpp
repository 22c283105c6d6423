// group_norm, batch_norm and layer_norm.

#include "core/op_rules.h"

namespace coppice::ops {
namespace {

void need_epsilon(const NodeView& node) {
  if (!(node.attributes.epsilon > 0.0))
    fail_layer(node, "expected epsilon > 0, got ", node.attributes.epsilon);
}

Shape group_norm_shape(const NodeView& node) {
  need_image(node);
  need_epsilon(node);
  need_positive(node, "group_size", node.attributes.group_size);
  if (node.inputs[0][0] % node.attributes.group_size != 0) {
    fail_layer(node, "group_size ", node.attributes.group_size, " must divide the channels of ",
               shape_text(node.inputs[0]));
  }
  return node.inputs[0];
}

Shape batch_norm_shape(const NodeView& node) {
  need_image(node);
  need_epsilon(node);
  return node.inputs[0];
}

Shape layer_norm_shape(const NodeView& node) {
  need_inputs(node, 1);
  need_epsilon(node);
  if (node.inputs[0].size() > 2) {
    fail_layer(node, "expected a vector or sequence, got ", shape_text(node.inputs[0]));
  }
  return node.inputs[0];
}

std::vector<ParameterSpec> affine_parameters(const NodeView& node) {
  const std::int64_t channels = channel_count(node.inputs[0]);
  return {constant("weight", {channels}, true), constant("bias", {channels}, false)};
}

std::vector<ParameterSpec> batch_norm_parameters(const NodeView& node) {
  const std::int64_t channels = channel_count(node.inputs[0]);
  return {constant("weight", {channels}, true), constant("bias", {channels}, false),
          constant("running_mean", {channels}, false, false),
          constant("running_var", {channels}, true, false)};
}

Labels mark_all(CouplingPass& pass) {
  const Labels& labels = pass.input(0);
  for (std::size_t i = 0; i < pass.node().parameters.size(); ++i) pass.mark(i, 0, labels, true);
  return labels;
}

// A group's statistics mix its channels, so they stay or go together.
Labels couple_group_norm(CouplingPass& pass) {
  const Labels& labels = pass.input(0);
  const auto step = static_cast<std::size_t>(pass.node().attributes.group_size);
  for (std::size_t i = 0; i < labels.size(); ++i) pass.unite(labels[i], labels[i / step * step]);
  return mark_all(pass);
}

// The statistics mix all features: none can go without changing the others.
Labels couple_layer_norm(CouplingPass& pass) {
  pass.freeze(pass.input(0));
  return mark_all(pass);
}

}  // namespace

const OpRules group_norm_rules{group_norm_shape, affine_parameters, no_macs, couple_group_norm,
                               keep_attributes};
const OpRules batch_norm_rules{batch_norm_shape, batch_norm_parameters, no_macs, mark_all,
                               keep_attributes};
const OpRules layer_norm_rules{layer_norm_shape, affine_parameters, no_macs, couple_layer_norm,
                               keep_attributes};

}  // namespace coppice::ops
