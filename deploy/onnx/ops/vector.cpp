// linear, and operations that rearrange features: flatten, concat, slice.

#include "deploy/onnx/op_call.h"

namespace coppice::onnx_export {
namespace {

constexpr std::int64_t kFirst = 1;  // axis behind the batch

}  // namespace

// Gemm takes matrices only; steps x features go through MatMul.
std::string write_linear(const OpCall& call) {
  GraphWriter& writer = call.writer;
  if (call.node.shape.size() == 1) {
    std::vector<std::string> inputs{call.inputs[0]};
    inputs.insert(inputs.end(), call.parameters.begin(), call.parameters.end());
    return writer.node("Gemm", call.node.name, inputs, {{"transB", std::int64_t{1}}});
  }
  const std::string columns = writer.node("Transpose", call.part("columns"), {call.parameters[0]},
                                          {{"perm", std::vector<std::int64_t>{1, 0}}});
  const bool has_bias = call.parameters.size() > 1;
  std::string product = writer.node("MatMul", has_bias ? call.part("product") : call.node.name,
                                    {call.inputs[0], columns});
  if (!has_bias) return product;
  return writer.node("Add", call.node.name, {product, call.parameters[1]});
}

std::string write_flatten(const OpCall& call) {
  return call.writer.node("Flatten", call.node.name, {call.inputs[0]}, {{"axis", kFirst}});
}

// Images join their channels, sequences and vectors their features.
std::string write_concat(const OpCall& call) {
  const std::int64_t axis = call.node.shape.size() == 3 ? kFirst : -1;
  return call.writer.node("Concat", call.node.name, {call.inputs.begin(), call.inputs.end()},
                          {{"axis", axis}});
}

std::string write_slice(const OpCall& call) {
  const auto [begin, length] = std::pair(call.node.attributes.begin, call.node.attributes.length);
  const std::string first = call.writer.shape_constant(call.part("begin"), {begin});
  const std::string end = call.writer.shape_constant(call.part("end"), {begin + length});
  const std::string axes = call.writer.shape_constant(call.part("axes"), {kFirst});
  return call.writer.node("Slice", call.node.name, {call.inputs[0], first, end, axes});
}

}  // namespace coppice::onnx_export
