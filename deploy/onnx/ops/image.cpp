// Operations on images [batch, channels, height, width].

#include "deploy/onnx/op_call.h"

namespace coppice::onnx_export {
namespace {

using Integers = std::vector<std::int64_t>;

Integers integers(const Pair& pair) { return {pair[0], pair[1]}; }

Integers stride_or(const Attributes& attributes, const Pair& when_zero) {
  Integers stride = integers(attributes.stride);
  for (std::size_t i = 0; i < 2; ++i) {
    if (stride[i] == 0) stride[i] = when_zero[i];
  }
  return stride;
}

// ONNX names the padding before each axis, then behind each.
Integers pads(const Attributes& attributes) {
  const auto [height, width] = attributes.padding;
  return {height, width, height, width};
}

}  // namespace

std::string write_conv2d(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  std::vector<std::string> inputs{call.inputs[0]};
  inputs.insert(inputs.end(), call.parameters.begin(), call.parameters.end());
  return call.writer.node("Conv", call.node.name, inputs,
                          {{"kernel_shape", integers(a.kernel)},
                           {"strides", stride_or(a, {1, 1})},
                           {"pads", pads(a)},
                           {"group", a.groups}});
}

std::string write_max_pool2d(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  return call.writer.node("MaxPool", call.node.name, {call.inputs[0]},
                          {{"kernel_shape", integers(a.kernel)},
                           {"strides", stride_or(a, a.kernel)},
                           {"pads", pads(a)}});
}

// Padding counts as zeros, as in PyTorch.
std::string write_avg_pool2d(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  return call.writer.node("AveragePool", call.node.name, {call.inputs[0]},
                          {{"kernel_shape", integers(a.kernel)},
                           {"strides", stride_or(a, a.kernel)},
                           {"pads", pads(a)},
                           {"count_include_pad", std::int64_t{1}}});
}

std::string write_global_avg_pool(const OpCall& call) {
  const std::string mean =
      call.writer.node("GlobalAveragePool", call.part("mean"), {call.inputs[0]});
  return call.writer.node("Flatten", call.node.name, {mean}, {{"axis", std::int64_t{1}}});
}

std::string write_channel_scale(const OpCall& call) {
  const std::string shape = call.writer.shape_constant(call.part("shape"), {0, 0, 1, 1});
  const std::string factors =
      call.writer.node("Reshape", call.part("factors"), {call.inputs[1], shape});
  return call.writer.node("Mul", call.node.name, {call.inputs[0], factors});
}

}  // namespace coppice::onnx_export
