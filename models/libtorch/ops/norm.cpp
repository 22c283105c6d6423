// group_norm, batch_norm (frozen statistics) and layer_norm.

#include <ATen/ops/batch_norm.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/layer_norm.h>

#include "models/libtorch/op_call.h"

namespace coppice::libtorch {

at::Tensor run_group_norm(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  const std::int64_t groups = call.node.shape[0] / a.group_size;
  return at::group_norm(call.inputs[0], groups, call.parameters[0], call.parameters[1], a.epsilon);
}

// Statistics are parameters that training reads and never writes: a round of their own refreshes
// them.
at::Tensor run_batch_norm(const OpCall& call) {
  return at::batch_norm(call.inputs[0], call.parameters[0], call.parameters[1], call.parameters[2],
                        call.parameters[3], /*training=*/false, /*momentum=*/0.0,
                        call.node.attributes.epsilon, /*cudnn_enabled=*/false);
}

at::Tensor run_layer_norm(const OpCall& call) {
  return at::layer_norm(call.inputs[0], {call.node.shape.back()}, call.parameters[0],
                        call.parameters[1], call.node.attributes.epsilon);
}

}  // namespace coppice::libtorch
