#include "algorithms/allocator.h"

namespace coppice {
namespace {

// Fronts of usual networks are a hundred times shorter; one so long still takes well under a
// second. Where it is cut, the better of its choice and allocate()'s is taken, and the gap says so.
constexpr std::int64_t kMostStates = 1 << 13;

// A choice that is the best within the bytes, and takes no longer than allowed, is the best within
// both; else prices of both have to find one.
Allocation best_within(const AllocationProblem& problem) {
  const Budget& budget = problem.budget;
  if (budget.bytes) {
    const ExactAllocation found = exact_allocation(problem.costs, *budget.bytes, kMostStates);
    if (!budget.microseconds ||
        (found.allocation.is_feasible && found.allocation.microseconds <= *budget.microseconds))
      return found.allocation;
  }
  return allocate(problem.costs, budget);
}

class Joint final : public Allocator {
 public:
  bool knows_time() const override { return true; }
  bool knows_widths() const override { return true; }

  Allotment allot(const AllocationProblem& problem) const override {
    check(problem);
    const Allocation best = best_within(problem);
    Allotment out{.bytes = best.bytes, .fits = best.is_feasible, .predicted_loss = best.loss};
    if (best.is_feasible) out.gap = best.gap;
    for (std::size_t t = 0; t < best.choice.size(); ++t)
      out.candidates.push_back(problem.candidates[t][static_cast<std::size_t>(best.choice[t])]);
    return out;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_joint_allocator() { return std::make_unique<Joint>(); }

}  // namespace coppice
