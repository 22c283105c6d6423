#include <algorithm>  // for ranges::min
#include <tuple>      // for tuple

#include "algorithms/allocator.h"

namespace coppice {
namespace {

constexpr int kHalvings = 10;  // of the distance between two densities of the grid

struct Total {
  double loss = 0.0;
  std::int64_t bytes = 0;
  std::size_t candidate = 0;
};

Total total_of(const AllocationProblem& problem, std::size_t candidate) {
  Total out{.candidate = candidate};
  for (const LayerCandidates& costs : problem.costs) {
    out.loss += costs[candidate].loss;
    out.bytes += costs[candidate].bytes;
  }
  return out;
}

std::int64_t bytes_of(const AllocationProblem& problem, const WeightCandidate& candidate) {
  std::int64_t out = 0;
  for (std::size_t i = 0; i < problem.tensors.size(); ++i) out += problem.bytes(i, candidate);
  return out;
}

// The next density of the grid with the same bits; the same one if there is none, or if the
// candidate is of blocks.
double next_density(const AllocationProblem& problem, const WeightCandidate& candidate) {
  double next = candidate.density;
  for (const WeightCandidate& other : problem.candidates.front()) {
    if (other.bits != candidate.bits || other.block_density != candidate.block_density) continue;
    if (other.density <= candidate.density) continue;
    if (next == candidate.density || other.density < next) next = other.density;
  }
  return candidate.block_density < 1.0 ? candidate.density : next;
}

// Grids are coarse, and a comparison at equal bytes is to compare methods, not grids: what is left
// of the budget goes into a density between two of the grid, still the same for all.
void widen(const AllocationProblem& problem, Allotment& allotment) {
  WeightCandidate candidate = allotment.candidates.front();
  double too_much = next_density(problem, candidate);
  for (int i = 0; i < kHalvings && too_much > candidate.density; ++i) {
    WeightCandidate wider = candidate;
    wider.density = candidate.density + (too_much - candidate.density) / 2.0;
    const std::int64_t bytes = bytes_of(problem, wider);
    if (bytes > *problem.budget.bytes) {
      too_much = wider.density;
      continue;
    }
    candidate = wider;
    allotment.bytes = bytes;
    allotment.predicted_loss.reset();
  }
  allotment.candidates.assign(problem.tensors.size(), candidate);
}

class Uniform final : public Allocator {
 public:
  bool knows_time() const override { return false; }
  bool knows_widths() const override { return false; }

  Allotment allot(const AllocationProblem& problem) const override {
    const std::int64_t max_bytes = bytes_alone(problem);
    const std::span<const WeightCandidate> candidates = common_candidates(problem);
    std::vector<Total> all;
    std::vector<Total> fitting;
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      all.push_back(total_of(problem, c));
      if (all.back().bytes <= max_bytes) fitting.push_back(all.back());
    }
    const auto by_loss = [](const Total& t) { return std::tuple(t.loss, t.bytes, t.candidate); };
    const auto by_bytes = [](const Total& t) { return std::tuple(t.bytes, t.loss, t.candidate); };
    const Total best = fitting.empty() ? std::ranges::min(all, {}, by_bytes)
                                       : std::ranges::min(fitting, {}, by_loss);
    Allotment out{.bytes = best.bytes, .fits = !fitting.empty(), .predicted_loss = best.loss};
    out.candidates.assign(problem.tensors.size(), candidates[best.candidate]);
    if (out.fits) widen(problem, out);
    return out;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_uniform_allocator() { return std::make_unique<Uniform>(); }

}  // namespace coppice
