#include "models/libtorch/arena_tensors.h"

#include <ATen/ops/from_blob.h>

namespace coppice::libtorch {

std::vector<at::Tensor> trainable_leaves(const Graph& graph, float* weights, float* gradient) {
  std::vector<at::Tensor> leaves;
  for (const ParameterSpec& parameter : graph.parameters()) {
    at::Tensor leaf = at::from_blob(weights + parameter.offset, parameter.shape, at::kFloat);
    if (parameter.is_trainable) {
      leaf.set_requires_grad(true);
      leaf.mutable_grad() = at::from_blob(gradient + parameter.offset, parameter.shape, at::kFloat);
    }
    leaves.push_back(std::move(leaf));
  }
  return leaves;
}

std::vector<at::Tensor> parameter_views(const Graph& graph, const float* values) {
  std::vector<at::Tensor> views;
  for (const ParameterSpec& parameter : graph.parameters()) {
    // from_blob takes no const memory; the callers run under a guard that records and writes
    // nothing.
    float* data = const_cast<float*>(values) + parameter.offset;
    views.push_back(at::from_blob(data, parameter.shape, at::kFloat));
  }
  return views;
}

}  // namespace coppice::libtorch
