#pragma once
// What pruners that look at gradients share. Pure.

#include <functional>  // for function
#include <span>        // for span
#include <vector>      // for vector

#include "algorithms/pruner.h"

namespace coppice {

// Calls `visit` with the first and the second gradient of every batch. Throws ConfigError if the
// values are no whole number of pairs of arenas of `parameters` floats.
using GradientPairVisitor = std::function<void(std::span<const float>, std::span<const float>)>;
void visit_gradient_pairs(const HalfBatchGradients& gradients, std::size_t parameters,
                          const GradientPairVisitor& visit);

// Adds the squares of unit_products(); one that is not finite adds nothing.
void add_squared_products(const Graph& graph, const Coupling& coupling,
                          std::span<const float> parameters, std::span<const float> gradient,
                          std::vector<double>& scores);

}  // namespace coppice
