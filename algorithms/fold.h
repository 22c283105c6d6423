#pragma once
// Removes batch_norm nodes by scaling the convolution before them: what is exported, quantized and
// deployed has none. Pure function; any thread.

#include <span>    // for span
#include <vector>  // for vector

#include "core/graph.h"

namespace coppice {

struct FoldedModel {
  Graph graph;
  std::vector<float> parameters;  // graph.parameter_count() of them
};

// The model that computes the same without the batch_norm nodes that are the only reader of a
// conv2d or linear:
//   weight[c] = weight[c] * gain,  bias[c] = (bias[c] - mean[c]) * gain + shift[c],
//   gain = batch_norm.weight[c] / sqrt(variance[c] + epsilon), shift = batch_norm.bias
// in double, rounded once (Jacob et al. 2018, section 3.2, with frozen statistics). The convolution
// keeps its name and has a bias from then on; readers of the batch_norm read the convolution. Other
// batch_norm nodes stay. `parameters` are graph.parameter_count() floats; throws ConfigError if
// there are not as many.
FoldedModel fold_batch_norm(const Graph& graph, std::span<const float> parameters);

}  // namespace coppice
