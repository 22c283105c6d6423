#pragma once
// What storing a layer in fewer bytes costs in loss, before it is tried: the growth of a quadratic
// model of the loss at weights where its gradient is near zero,
//   Omega(c) = 1/2 sum_i h_i (w_i - c(w)_i)^2,
// with h the diagonal of the curvature and c(w) the weights as candidate c stores them: pruned to
// zero, or on the real quantizer's grid (LeCun et al. 1990 for pruning; Dong et al. 2019 for bits).
// Pure functions and plain values; any thread.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/graph.h"
#include "core/task.h"

namespace coppice {

// The weights with only the ceil(density x size) largest magnitudes left (ties: the lower index),
// the others zero. Not quantized.
std::vector<float> keep_largest(std::span<const float> weights, const WeightCandidate& candidate);

// What every candidate does to every weight of a model. The same for all clients, so it is made
// once for a task; takes 4 bytes a weight and candidate.
class CandidateErrors {
 public:
  // `parameters` in the arena's layout. Throws ConfigError for a parameter that the graph does not
  // have and for bits that weights cannot have.
  CandidateErrors(const Graph& graph, std::span<const float> parameters,
                  const SenseRequest& request);

  // Omega of each parameter and candidate, in the request's order, for a client's `curvature`
  // (arena layout).
  std::vector<float> table(std::span<const float> curvature) const;

 private:
  struct Cell {
    std::size_t offset = 0;
    std::vector<float> squares;
  };
  std::vector<Cell> cells_;
};

// Adds an estimate of the empirical Fisher's diagonal, E[g^2] - E[g]^2 for the gradient g of one
// sample, to `out`: n (a - b)^2 / 2, where a and b are mean gradients over two disjoint
// half-batches of n samples. Var(a - b) = 2 Var(g) / n, so its mean is Var(g); at a model near its
// optimum, where E[g] is near 0, that is the Fisher diagonal, which stands for the Hessian's.
void accumulate_curvature(std::span<const float> first, std::span<const float> second,
                          std::int64_t half_batch, std::span<float> out);

}  // namespace coppice
