#pragma once
// A client's part in deciding how each layer is stored: it estimates how its own loss bends along
// every weight, and answers with a table of a few hundred numbers. Nothing else leaves it.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/task.h"
#include "models/executor.h"

namespace coppice {

// Where the half-batches come from: Philox of (seed, kSensing, client, round).
struct SensingDraw {
  std::uint64_t seed = 1;
  std::int64_t client = 0;
  std::int64_t round = 1;
};

// The diagonal of the empirical Fisher matrix of the cross-entropy at `model`, without its grids
// and its mask, one value a parameter: the mean over pairs of disjoint half-batches of
// accumulate_curvature() (algorithms/sensitivity.h). As many pairs as `request` asks for and the
// client's samples give; of fewer than 2 samples, zeros. Not finite where the loss is not.
std::vector<float> estimate_curvature(Executor& executor, const ModelView& model,
                                      const SampleSource& source, const SenseRequest& request,
                                      const SensingDraw& draw);

}  // namespace coppice
