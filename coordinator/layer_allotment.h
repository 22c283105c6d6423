#pragma once
// What each layer got, what that costs, and what kept it from getting more. Pure.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <string>    // for string
#include <vector>    // for vector

#include "algorithms/allocator.h"
#include "core/weight_candidate.h"

namespace coppice {

struct LayerAllotment {
  std::string parameter;
  WeightCandidate candidate = {};
  std::int64_t bytes = 0;                     // of its weights' codes
  std::optional<double> microseconds = {};    // by the latency table; absent without one
  std::optional<double> predicted_loss = {};  // nats; absent where it is not on the table's grid
  // A way to store it that loses less does not fit into what the others leave. Neither: no way
  // loses less.
  bool is_bound_by_bytes = false;
  bool is_bound_by_microseconds = false;

  friend bool operator==(const LayerAllotment&, const LayerAllotment&) = default;
};

// `chosen[t]` is what problem.tensors[t] takes as `allotment` has it, `has_times` whether
// microseconds are known. A density that is not on the grid is bound by bytes, which is why it was
// sought.
std::vector<LayerAllotment> explain(const AllocationProblem& problem, const Allotment& allotment,
                                    std::span<const Candidate> chosen, bool has_times);

}  // namespace coppice
