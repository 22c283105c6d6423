#pragma once
// core/quant_plan.h in plain fp32: every node alone through the executor, its weights and bias on
// their grids, its output rounded to its grid. Slow and obvious.

#include <vector>

#include "core/graph.h"
#include "core/quant_plan.h"

namespace coppice {

struct ReferenceModel {
  const Graph& graph;
  const std::vector<float>& parameters;
  QuantPlan plan;  // empty: fp32
};

// The outputs of all nodes in the graph's order, as later nodes read them.
std::vector<std::vector<float>> reference_outputs(const ReferenceModel& model,
                                                  const std::vector<float>& samples);

// 8-bit activations over the ranges that `samples` have, and weights of `bits`.
QuantPlan plan_for(const Graph& graph, const std::vector<float>& parameters,
                   const std::vector<float>& samples, int bits);

}  // namespace coppice
