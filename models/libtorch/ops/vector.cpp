// linear, and operations that rearrange features: flatten, concat, slice, dot_interaction.

#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <optional>  // for optional
#include <vector>    // for vector

#include "models/libtorch/op_call.h"

namespace coppice::libtorch {
namespace {

at::TensorList list_of(std::span<const at::Tensor> tensors) {
  return {tensors.data(), tensors.size()};
}

}  // namespace

at::Tensor run_linear(const OpCall& call) {
  const bool has_bias = call.node.attributes.bias;
  return at::linear(call.inputs[0], call.parameters[0],
                    has_bias ? std::optional(call.parameters[1]) : std::nullopt);
}

at::Tensor run_flatten(const OpCall& call) {
  return call.inputs[0].reshape({call.inputs[0].size(0), -1});
}

// Images join their channels, sequences and vectors their features.
at::Tensor run_concat(const OpCall& call) {
  return at::cat(list_of(call.inputs), call.node.shape.size() == 3 ? 1 : -1);
}

at::Tensor run_slice(const OpCall& call) {
  return call.inputs[0].narrow(-1, call.node.attributes.begin, call.node.attributes.length);
}

// Dot products of all pairs i < j in the order (0,1), (0,2), ..., (1,2), ... (Naumov et al. 2019,
// DLRM).
at::Tensor run_dot_interaction(const OpCall& call) {
  const auto count = static_cast<std::int64_t>(call.inputs.size());
  const at::Tensor vectors = at::stack(list_of(call.inputs), 1);
  const at::Tensor products = at::bmm(vectors, vectors.transpose(1, 2)).flatten(1);
  std::vector<std::int64_t> pairs;
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = i + 1; j < count; ++j) pairs.push_back(i * count + j);
  }
  return products.index_select(1, at::tensor(pairs));
}

}  // namespace coppice::libtorch
