// Operations that work element by element: input, normalize, activations, dropout, add.

#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include "core/random.h"
#include "models/libtorch/op_call.h"

namespace coppice::libtorch {
namespace {

// Zeros with probability `rate`, else 1 / (1 - rate). Every (step, dropout node) has 2^32 words of
// the stream.
template <typename Scalar>
void draw_mask(const OpCall& call, double rate, Scalar* mask, std::int64_t n) {
  const DropoutKey& key = *call.dropout;
  RandomStream stream(
      {.seed = key.seed, .purpose = Purpose::kDropout, .client = key.client, .task = key.round});
  stream.seek(static_cast<std::uint64_t>(key.step * call.dropout_count + call.dropout_ordinal)
              << 32U);
  const auto threshold = static_cast<std::uint32_t>(rate * 4294967296.0);
  const auto kept = static_cast<Scalar>(1.0 / (1.0 - rate));
  for (std::int64_t i = 0; i < n; ++i) mask[i] = stream.next_u32() < threshold ? Scalar{0} : kept;
}

}  // namespace

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
  at::Tensor mask =
      at::empty_like(x, x.options().requires_grad(false), at::MemoryFormat::Contiguous);
  if (x.scalar_type() == at::kDouble) {
    draw_mask(call, rate, mask.mutable_data_ptr<double>(), mask.numel());
  } else {
    draw_mask(call, rate, mask.mutable_data_ptr<float>(), mask.numel());
  }
  return x.mul(mask);
}

at::Tensor run_add(const OpCall& call) {
  at::Tensor sum = call.inputs[0].add(call.inputs[1]);
  for (std::size_t i = 2; i < call.inputs.size(); ++i) sum = sum.add(call.inputs[i]);
  return sum;
}

}  // namespace coppice::libtorch
