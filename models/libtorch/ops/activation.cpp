// Operations that work element by element: input, normalize, activations, dropout, add.

#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include "models/libtorch/op_call.h"

namespace coppice::libtorch {
at::Tensor run_input(const OpCall& call) { return call.inputs[0]; }

at::Tensor run_normalize(const OpCall& call) {
  return call.inputs[0].sub(call.node.attributes.mean).div(call.node.attributes.deviation);
}

at::Tensor run_relu(const OpCall& call) { return at::relu(call.inputs[0]); }
at::Tensor run_relu6(const OpCall& call) { return at::hardtanh(call.inputs[0], 0.0, 6.0); }
at::Tensor run_leaky_relu(const OpCall& call) {
  return at::leaky_relu(call.inputs[0], call.node.attributes.slope);
}
at::Tensor run_gelu(const OpCall& call) { return at::gelu(call.inputs[0]); }
at::Tensor run_tanh(const OpCall& call) { return at::tanh(call.inputs[0]); }
at::Tensor run_sigmoid(const OpCall& call) { return at::sigmoid(call.inputs[0]); }

at::Tensor run_dropout(const OpCall& call) {
  const double rate = call.node.attributes.rate;
  const at::Tensor& x = call.inputs[0];
  if (call.dropout == nullptr || rate == 0.0) return x;
  at::Tensor mask = at::empty(x.sizes(), at::kFloat);
  const DropoutMask which{.key = *call.dropout,
                          .ordinal = call.dropout_ordinal,
                          .count = call.dropout_count,
                          .rate = rate};
  const std::int64_t n = mask.numel();
  draw_dropout_mask(which, call.first_sample * (n / x.size(0)), n, mask.mutable_data_ptr<float>());
  return x.mul(mask.to(x.scalar_type()).mul_(which.kept()));
}

at::Tensor run_add(const OpCall& call) {
  at::Tensor sum = call.inputs[0].add(call.inputs[1]);
  for (std::size_t i = 2; i < call.inputs.size(); ++i) sum = sum.add(call.inputs[i]);
  return sum;
}

}  // namespace coppice::libtorch
