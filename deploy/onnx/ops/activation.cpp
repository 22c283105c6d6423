// Operations that work element by element: input, normalize, activations, dropout, add.

#include <numbers>  // for sqrt2_v

#include "deploy/onnx/op_call.h"

namespace coppice::onnx_export {

std::string write_input(const OpCall& call) { return call.inputs[0]; }

std::string write_normalize(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  const std::string mean = call.writer.scalar(call.part("mean"), static_cast<float>(a.mean));
  const std::string deviation =
      call.writer.scalar(call.part("deviation"), static_cast<float>(a.deviation));
  const std::string centred = call.writer.node("Sub", call.part("centred"), {call.inputs[0], mean});
  return call.writer.node("Div", call.node.name, {centred, deviation});
}

std::string write_relu(const OpCall& call) {
  return call.writer.node("Relu", call.node.name, {call.inputs[0]});
}

std::string write_relu6(const OpCall& call) {
  const std::string low = call.writer.scalar(call.part("low"), 0.0F);
  const std::string high = call.writer.scalar(call.part("high"), 6.0F);
  return call.writer.node("Clip", call.node.name, {call.inputs[0], low, high});
}

std::string write_leaky_relu(const OpCall& call) {
  return call.writer.node("LeakyRelu", call.node.name, {call.inputs[0]},
                          {{"alpha", static_cast<float>(call.node.attributes.slope)}});
}

// x / 2 (1 + erf(x / sqrt 2)): opset 17 has no Gelu.
std::string write_gelu(const OpCall& call) {
  GraphWriter& writer = call.writer;
  const std::string& x = call.inputs[0];
  const std::string root = writer.scalar(call.part("root"), std::numbers::sqrt2_v<float>);
  const std::string one = writer.scalar(call.part("one"), 1.0F);
  const std::string half = writer.scalar(call.part("half"), 0.5F);
  const std::string scaled = writer.node("Div", call.part("scaled"), {x, root});
  const std::string erf = writer.node("Erf", call.part("erf"), {scaled});
  const std::string shifted = writer.node("Add", call.part("shifted"), {erf, one});
  const std::string product = writer.node("Mul", call.part("product"), {x, shifted});
  return writer.node("Mul", call.node.name, {product, half});
}

std::string write_tanh(const OpCall& call) {
  return call.writer.node("Tanh", call.node.name, {call.inputs[0]});
}

std::string write_sigmoid(const OpCall& call) {
  return call.writer.node("Sigmoid", call.node.name, {call.inputs[0]});
}

// Not there when the model is used.
std::string write_dropout(const OpCall& call) { return call.inputs[0]; }

std::string write_add(const OpCall& call) {
  std::string sum = call.inputs[0];
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const bool is_last = i + 1 == call.inputs.size();
    sum = call.writer.node("Add", is_last ? call.node.name : call.part("partial"),
                           {sum, call.inputs[i]});
  }
  return sum;
}

}  // namespace coppice::onnx_export
