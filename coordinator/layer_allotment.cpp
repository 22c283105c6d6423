#include "coordinator/layer_allotment.h"

#include <algorithm>  // for find

namespace coppice {
namespace {

// What all of `chosen` leave of the budget.
Budget left_of(const Budget& budget, std::span<const Candidate> chosen) {
  Budget left = budget;
  for (const Candidate& candidate : chosen) {
    if (left.bytes) *left.bytes -= candidate.bytes;
    if (left.microseconds) *left.microseconds -= candidate.microseconds;
  }
  return left;
}

void find_bounds(const LayerCandidates& candidates, const Candidate& chosen, const Budget& left,
                 LayerAllotment& layer) {
  for (const Candidate& better : candidates) {
    if (better.loss >= *layer.predicted_loss) continue;
    layer.is_bound_by_bytes |= left.bytes && better.bytes - chosen.bytes > *left.bytes;
    layer.is_bound_by_microseconds |=
        left.microseconds && better.microseconds - chosen.microseconds > *left.microseconds;
  }
}

}  // namespace

std::vector<LayerAllotment> explain(const AllocationProblem& problem, const Allotment& allotment,
                                    std::span<const Candidate> chosen, bool has_times) {
  const Budget left = left_of(problem.budget, chosen);
  std::vector<LayerAllotment> out;
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    LayerAllotment& layer = out.emplace_back();
    layer.parameter = problem.tensors[t].name;
    layer.candidate = allotment.candidates[t];
    layer.bytes = chosen[t].bytes;
    if (has_times) layer.microseconds = chosen[t].microseconds;
    const std::vector<WeightCandidate>& candidates = problem.candidates[t];
    const auto found = std::ranges::find(candidates, layer.candidate);
    if (found == candidates.end()) {
      layer.is_bound_by_bytes = problem.budget.bytes.has_value();
      continue;
    }
    const auto place = static_cast<std::size_t>(found - candidates.begin());
    layer.predicted_loss = problem.costs[t][place].loss;
    find_bounds(problem.costs[t], chosen[t], left, layer);
  }
  return out;
}

}  // namespace coppice
