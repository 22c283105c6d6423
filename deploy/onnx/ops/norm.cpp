// group_norm, batch_norm and layer_norm.

#include "deploy/onnx/op_call.h"

namespace coppice::onnx_export {
namespace {

float epsilon_of(const OpCall& call) { return static_cast<float>(call.node.attributes.epsilon); }

}  // namespace

// Opset 17 has no GroupNormalization: a group is an instance of a reshaped image, then come the
// channels' own factors.
std::string write_group_norm(const OpCall& call) {
  GraphWriter& writer = call.writer;
  const Shape& shape = call.node.shape;
  const std::int64_t groups = shape[0] / call.node.attributes.group_size;
  const std::vector<float> ones(static_cast<std::size_t>(groups), 1.0F);
  const std::vector<float> zeros(ones.size());
  const std::string gain = writer.constant(call.part("ones"), {groups}, ones);
  const std::string shift = writer.constant(call.part("zeros"), {groups}, zeros);
  const std::string grouped_shape = writer.shape_constant(call.part("groups"), {0, groups, -1});
  const std::string image_shape =
      writer.shape_constant(call.part("shape"), {0, shape[0], shape[1], shape[2]});
  const std::string channel_shape = writer.shape_constant(call.part("channels"), {-1, 1, 1});

  const std::string grouped =
      writer.node("Reshape", call.part("grouped"), {call.inputs[0], grouped_shape});
  const std::string normalized =
      writer.node("InstanceNormalization", call.part("normalized"), {grouped, gain, shift},
                  {{"epsilon", epsilon_of(call)}});
  const std::string image = writer.node("Reshape", call.part("image"), {normalized, image_shape});
  const std::string weight =
      writer.node("Reshape", call.part("weight"), {call.parameters[0], channel_shape});
  const std::string bias =
      writer.node("Reshape", call.part("bias"), {call.parameters[1], channel_shape});
  const std::string scaled = writer.node("Mul", call.part("scaled"), {image, weight});
  return writer.node("Add", call.node.name, {scaled, bias});
}

std::string write_batch_norm(const OpCall& call) {
  std::vector<std::string> inputs{call.inputs[0]};
  inputs.insert(inputs.end(), call.parameters.begin(), call.parameters.end());
  return call.writer.node("BatchNormalization", call.node.name, inputs,
                          {{"epsilon", epsilon_of(call)}});
}

std::string write_layer_norm(const OpCall& call) {
  return call.writer.node("LayerNormalization", call.node.name,
                          {call.inputs[0], call.parameters[0], call.parameters[1]},
                          {{"axis", std::int64_t{-1}}, {"epsilon", epsilon_of(call)}});
}

}  // namespace coppice::onnx_export
