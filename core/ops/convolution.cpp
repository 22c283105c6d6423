// conv2d, linear, pools and flatten.

#include "core/op_rules.h"

namespace coppice::ops {
namespace {

Pair window_stride(const NodeView& node, Pair when_zero) {
  Pair stride = node.attributes.stride;
  for (std::size_t i = 0; i < 2; ++i) {
    if (stride[i] == 0) stride[i] = when_zero[i];
    need_positive(node, "stride", stride[i]);
  }
  return stride;
}

// Height and width after sliding the node's window over its image.
Pair windowed(const NodeView& node, Pair default_stride) {
  const Attributes& a = node.attributes;
  const Pair stride = window_stride(node, default_stride);
  Pair out{};
  for (std::size_t i = 0; i < 2; ++i) {
    need_positive(node, "kernel", a.kernel[i]);
    if (a.padding[i] < 0 || a.padding[i] > (1 << 20))
      fail_layer(node, "padding ", a.padding[i], " is out of range");
    const std::int64_t padded = node.inputs[0][i + 1] + 2 * a.padding[i];
    if (a.kernel[i] > padded) {
      fail_layer(node, "kernel ", a.kernel[i], " is larger than the padded input ", padded, " of ",
                 shape_text(node.inputs[0]));
    }
    out[i] = (padded - a.kernel[i]) / stride[i] + 1;
  }
  return out;
}

Shape conv2d_shape(const NodeView& node) {
  need_image(node);
  const Attributes& a = node.attributes;
  need_positive(node, "out", a.out);
  need_positive(node, "groups", a.groups);
  const std::int64_t in = node.inputs[0][0];
  if (in % a.groups != 0 || a.out % a.groups != 0) {
    fail_layer(node, "groups ", a.groups, " must divide input channels ", in, " and out ", a.out);
  }
  const Pair size = windowed(node, {1, 1});
  return {a.out, size[0], size[1]};
}

std::vector<ParameterSpec> conv2d_parameters(const NodeView& node) {
  const Attributes& a = node.attributes;
  const std::int64_t in = node.inputs[0][0] / a.groups;
  const std::int64_t fan_in = in * a.kernel[0] * a.kernel[1];
  std::vector<ParameterSpec> out{kaiming("weight", {a.out, in, a.kernel[0], a.kernel[1]}, fan_in)};
  if (a.bias) out.push_back(kaiming("bias", {a.out}, fan_in));
  return out;
}

std::int64_t conv2d_macs(const NodeView& node, const Shape& output) {
  const Attributes& a = node.attributes;
  return element_count(output) * (node.inputs[0][0] / a.groups) * a.kernel[0] * a.kernel[1];
}

// A grouped convolution loses whole groups: all channels a group reads and all it writes go
// together.
Labels couple_conv2d(CouplingPass& pass) {
  const Attributes& a = pass.node().attributes;
  const Labels& in = pass.input(0);
  Labels out = pass.fresh(a.out);
  if (a.groups == 1) {
    pass.mark(0, 1, in, false);
  } else {
    const std::size_t in_step = in.size() / static_cast<std::size_t>(a.groups);
    const std::size_t out_step = out.size() / static_cast<std::size_t>(a.groups);
    for (std::size_t i = 0; i < out.size(); ++i) pass.unite(out[i], out[i / out_step * out_step]);
    for (std::size_t i = 0; i < in.size(); ++i) pass.unite(in[i], out[i / in_step * out_step]);
  }
  pass.mark(0, 0, out, true);
  if (a.bias) pass.mark(1, 0, out, true);
  return out;
}

void shrink_conv2d(Attributes& a, const Shape&, const KeptAxes& axes) {
  const std::int64_t kept = axes.kept(0, 0);
  if (a.groups > 1) a.groups = kept / (a.out / a.groups);
  a.out = kept;
}

Shape linear_shape(const NodeView& node) {
  need_inputs(node, 1);
  need_positive(node, "out", node.attributes.out);
  if (node.inputs[0].size() > 2) {
    fail_layer(node, "expected a vector or sequence, got ", shape_text(node.inputs[0]),
               "; flatten images first");
  }
  Shape out = node.inputs[0];
  out.back() = node.attributes.out;
  return out;
}

std::vector<ParameterSpec> linear_parameters(const NodeView& node) {
  const std::int64_t in = node.inputs[0].back();
  std::vector<ParameterSpec> out{kaiming("weight", {node.attributes.out, in}, in)};
  if (node.attributes.bias) out.push_back(kaiming("bias", {node.attributes.out}, in));
  return out;
}

std::int64_t linear_macs(const NodeView& node, const Shape& output) {
  return element_count(output) * node.inputs[0].back();
}

Labels couple_linear(CouplingPass& pass) {
  Labels out = pass.fresh(pass.node().attributes.out);
  pass.mark(0, 0, out, true);
  pass.mark(0, 1, pass.input(0), false);
  if (pass.node().attributes.bias) pass.mark(1, 0, out, true);
  return out;
}

void shrink_out(Attributes& a, const Shape&, const KeptAxes& axes) { a.out = axes.kept(0, 0); }

Shape pool_shape(const NodeView& node) {
  need_image(node);
  const Pair size = windowed(node, node.attributes.kernel);
  for (std::size_t i = 0; i < 2; ++i) {
    if (node.attributes.padding[i] * 2 > node.attributes.kernel[i]) {
      fail_layer(node, "padding ", node.attributes.padding[i], " is more than half of kernel ",
                 node.attributes.kernel[i]);
    }
  }
  return {node.inputs[0][0], size[0], size[1]};
}

Shape global_avg_pool_shape(const NodeView& node) {
  need_image(node);
  return {node.inputs[0][0]};
}

Shape flatten_shape(const NodeView& node) {
  need_inputs(node, 1);
  return {element_count(node.inputs[0])};
}

Labels couple_flatten(CouplingPass& pass) {
  const Shape& in = pass.input_shape(0);
  const std::int64_t copies = element_count(in) / channel_count(in);
  return in.size() == 3 ? repeat_each(pass.input(0), copies) : repeat_blocks(pass.input(0), copies);
}

}  // namespace

const OpRules conv2d_rules{conv2d_shape, conv2d_parameters, conv2d_macs, couple_conv2d,
                           shrink_conv2d};
const OpRules linear_rules{linear_shape, linear_parameters, linear_macs, couple_linear, shrink_out};
const OpRules max_pool2d_rules{pool_shape, no_parameters, no_macs, pass_labels, keep_attributes};
const OpRules avg_pool2d_rules{pool_shape, no_parameters, no_macs, pass_labels, keep_attributes};
const OpRules global_avg_pool_rules{global_avg_pool_shape, no_parameters, no_macs, pass_labels,
                                    keep_attributes};
const OpRules flatten_rules{flatten_shape, no_parameters, no_macs, couple_flatten, keep_attributes};

}  // namespace coppice::ops
