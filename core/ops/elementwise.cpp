// Operations that keep their input's shape and channels, and those that join inputs: activations,
// dropout, add, concat, channel_scale, slice, input and normalize.

#include <cmath>  // for isfinite

#include "core/op_rules.h"

namespace coppice::ops {
namespace {

Shape same_shape(const NodeView& node) {
  need_inputs(node, 1);
  return node.inputs[0];
}

Shape input_shape(const NodeView& node) {
  need_inputs(node, 1);  // the graph passes the spec's shape
  return node.inputs[0];
}

Labels couple_input(CouplingPass& pass) {
  Labels labels = pass.fresh(channel_count(pass.node().shape));
  pass.freeze(labels);
  return labels;
}

Shape normalize_shape(const NodeView& node) {
  need_inputs(node, 1);
  const double deviation = node.attributes.deviation;
  if (!(deviation > 0.0) || !std::isfinite(deviation) || !std::isfinite(node.attributes.mean)) {
    fail_layer(node, "expected a finite mean and deviation > 0, got ", node.attributes.mean,
               " and ", deviation);
  }
  return node.inputs[0];
}

Shape leaky_relu_shape(const NodeView& node) {
  need_inputs(node, 1);
  if (!std::isfinite(node.attributes.slope))
    fail_layer(node, "expected a finite slope, got ", node.attributes.slope);
  return node.inputs[0];
}

Shape dropout_shape(const NodeView& node) {
  need_inputs(node, 1);
  if (!(node.attributes.rate >= 0.0 && node.attributes.rate < 1.0)) {
    fail_layer(node, "expected rate in [0, 1), got ", node.attributes.rate);
  }
  return node.inputs[0];
}

Shape add_shape(const NodeView& node) {
  if (node.inputs.size() < 2)
    fail_layer(node, "expected at least 2 inputs, got ", node.inputs.size());
  for (const Shape& shape : node.inputs) {
    if (shape != node.inputs[0]) {
      fail_layer(node, "expected inputs of one shape, got ", shape_text(node.inputs[0]), " and ",
                 shape_text(shape));
    }
  }
  return node.inputs[0];
}

Labels couple_add(CouplingPass& pass) {
  const Labels& first = pass.input(0);
  for (std::size_t i = 1; i < pass.node().inputs.size(); ++i) {
    for (std::size_t c = 0; c < first.size(); ++c) pass.unite(first[c], pass.input(i)[c]);
  }
  return first;
}

Shape concat_shape(const NodeView& node) {
  if (node.inputs.size() < 2)
    fail_layer(node, "expected at least 2 inputs, got ", node.inputs.size());
  Shape out = node.inputs[0];
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    Shape other = node.inputs[i];
    const bool is_same_rank = other.size() == out.size();
    const std::int64_t channels = is_same_rank ? channel_count(other) : 0;
    if (is_same_rank) other[channel_axis(other)] = channel_count(out);
    if (other != out) {
      fail_layer(node, "inputs differ beside the channels: ", shape_text(node.inputs[0]), " and ",
                 shape_text(node.inputs[i]));
    }
    out[channel_axis(out)] += channels;
  }
  return out;
}

Labels couple_concat(CouplingPass& pass) {
  Labels out;
  for (std::size_t i = 0; i < pass.node().inputs.size(); ++i) {
    out.insert(out.end(), pass.input(i).begin(), pass.input(i).end());
  }
  return out;
}

Shape channel_scale_shape(const NodeView& node) {
  need_inputs(node, 2);
  need_rank(node, 0, 3, "an image {channels, height, width}");
  need_rank(node, 1, 1, "a vector of one factor a channel");
  if (node.inputs[1][0] != node.inputs[0][0]) {
    fail_layer(node, "expected ", node.inputs[0][0], " factors, got ", node.inputs[1][0]);
  }
  return node.inputs[0];
}

Shape slice_shape(const NodeView& node) {
  need_inputs(node, 1);
  need_rank(node, 0, 1, "a vector");
  const auto [begin, length] = std::pair(node.attributes.begin, node.attributes.length);
  if (begin < 0 || length < 1 || begin > node.inputs[0][0] - length) {
    fail_layer(node, "expected begin >= 0, length >= 1 and begin + length <= ", node.inputs[0][0],
               ", got begin ", begin, " and length ", length);
  }
  return {length};
}

// Positions are part of the operation's meaning, so what is sliced keeps all of its features.
Labels couple_slice(CouplingPass& pass) {
  const Labels& in = pass.input(0);
  pass.freeze(in);
  const auto begin = in.begin() + pass.node().attributes.begin;
  return {begin, begin + pass.node().attributes.length};
}

constexpr OpRules elementwise(Shape (*shape)(const NodeView&)) {
  return {shape, no_parameters, no_macs, pass_labels, keep_attributes};
}

}  // namespace

const OpRules input_rules{input_shape, no_parameters, no_macs, couple_input, keep_attributes};
const OpRules normalize_rules = elementwise(normalize_shape);
const OpRules relu_rules = elementwise(same_shape);
const OpRules relu6_rules = elementwise(same_shape);
const OpRules leaky_relu_rules = elementwise(leaky_relu_shape);
const OpRules gelu_rules = elementwise(same_shape);
const OpRules tanh_rules = elementwise(same_shape);
const OpRules sigmoid_rules = elementwise(same_shape);
const OpRules dropout_rules = elementwise(dropout_shape);
const OpRules add_rules{add_shape, no_parameters, no_macs, couple_add, keep_attributes};
const OpRules concat_rules{concat_shape, no_parameters, no_macs, couple_concat, keep_attributes};
const OpRules channel_scale_rules{channel_scale_shape, no_parameters, no_macs, couple_add,
                                  keep_attributes};
const OpRules slice_rules{slice_shape, no_parameters, no_macs, couple_slice, keep_attributes};

}  // namespace coppice::ops
