#include "algorithms/allocator.h"

namespace coppice {
namespace {

// Fronts of usual networks are a hundred times shorter; one so long still takes well under a
// second. Where it is cut, the better of its choice and allocate()'s is taken, and the gap says so.
constexpr std::int64_t kMostStates = 1 << 13;

class Joint final : public Allocator {
 public:
  Allotment allot(const AllocationProblem& problem) const override {
    check(problem);
    const ExactAllocation found = exact_allocation(problem.costs, problem.max_bytes, kMostStates);
    const Allocation& best = found.allocation;
    Allotment out{.bytes = best.bytes, .fits = best.is_feasible, .predicted_loss = best.loss};
    if (best.is_feasible) out.gap = best.gap;
    for (const std::int64_t choice : best.choice)
      out.candidates.push_back(problem.candidates[static_cast<std::size_t>(choice)]);
    return out;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_joint_allocator() { return std::make_unique<Joint>(); }

}  // namespace coppice
