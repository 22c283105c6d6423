#include "algorithms/allocation.h"
#include "algorithms/knapsack/front.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::int64_t kMostStates = 1 << 26;

void choose(Allocation& allocation, std::span<const LayerCandidates> layers,
            const knapsack::Choice& choice) {
  allocation.choice.assign(choice.begin(), choice.end());
  allocation.loss = 0.0;
  allocation.bytes = 0;
  allocation.microseconds = 0.0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Candidate& candidate = layers[l][choice[l]];
    allocation.loss += candidate.loss;
    allocation.bytes += candidate.bytes;
    allocation.microseconds += candidate.microseconds;
  }
}

std::vector<std::vector<knapsack::Item>> items_of(std::span<const LayerCandidates> layers) {
  std::vector<std::vector<knapsack::Item>> out;
  for (const LayerCandidates& candidates : layers) {
    std::vector<knapsack::Item>& items = out.emplace_back();
    for (const Candidate& candidate : candidates)
      items.push_back({static_cast<double>(candidate.bytes), candidate.loss});
  }
  return out;
}

}  // namespace

ExactAllocation exact_allocation(std::span<const LayerCandidates> layers, std::int64_t budget_bytes,
                                 std::int64_t max_states) {
  if (max_states < 1 || max_states > kMostStates)
    throw ConfigError(text("allocation: expected 1 to ", kMostStates, " states, got ", max_states));
  ExactAllocation out{.allocation = allocate(layers, {.bytes = budget_bytes})};
  Allocation& best = out.allocation;
  if (!best.is_feasible) return out;
  const knapsack::FrontResult front = least_value(
      items_of(layers),
      {.limit = static_cast<double>(budget_bytes), .upper = best.loss, .max_states = max_states});
  out.is_exact = front.is_complete;
  out.largest_front = front.largest_front;
  const double bound = best.lower_bound;
  if (front.choice) {
    Allocation found = best;
    choose(found, layers, *front.choice);
    if (found.loss < best.loss) best = found;
  }
  best.lower_bound = out.is_exact ? best.loss : bound;
  best.gap = best.loss > 0.0 ? (best.loss - best.lower_bound) / best.loss : 0.0;
  return out;
}

}  // namespace coppice
