#pragma once
// LibTorch tensors over arena memory: no copies, one leaf a parameter. Internal to models/.

#include <ATen/core/Tensor.h>

#include <vector>  // for vector

#include "core/graph.h"

namespace coppice::libtorch {

// Leaves over `weights` whose .grad is preset to a view of `gradient`, so that backward accumulates
// into that arena in place. Parameters that are not trainable ask for no gradient. Both arrays hold
// graph.parameter_count() floats and must outlive the tensors.
std::vector<at::Tensor> trainable_leaves(const Graph& graph, float* weights, float* gradient);

// Views of `values` without gradients, one a parameter. Nothing writes through them.
std::vector<at::Tensor> parameter_views(const Graph& graph, const float* values);

}  // namespace coppice::libtorch
