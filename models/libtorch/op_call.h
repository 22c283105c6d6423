#pragma once
// One node at work: what its operation sees. Internal to models/libtorch. An operation is a
// function run_NAME for every line NAME of core/ops.def, so a new line without an implementation
// does not link. Operations work in the dtype of their tensors (fp32 in training, double in
// gradient tests) and know nothing of arenas, losses or optimizers.

#include <ATen/core/Tensor.h>

#include <cstdint>  // for int64_t
#include <span>     // for span

#include "core/graph.h"
#include "models/dropout_key.h"

namespace coppice::libtorch {

struct OpCall {
  const Node& node;
  std::span<const at::Tensor> inputs;      // [n, shape of the node's inputs...]
  std::span<const at::Tensor> parameters;  // of the node, in its order
  const DropoutKey* dropout = nullptr;     // null: evaluation
  std::int64_t dropout_ordinal = 0;        // among the graph's dropout nodes
  std::int64_t dropout_count = 0;          // of them
  std::int64_t first_sample = 0;           // of the batch: dropout
};

#define COPPICE_OP(name, coupling, onnx, runtime) at::Tensor run_##name(const OpCall& call);
#include "core/ops.def"
#undef COPPICE_OP

}  // namespace coppice::libtorch
