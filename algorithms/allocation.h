#pragma once
// How bytes and microseconds are shared out among layers: of each layer's candidates (a density and
// a bit width, say) one is chosen, so that the predicted losses add up to the least that fits the
// budget. This is the multiple-choice knapsack problem. Pure functions; any thread; equal inputs
// give equal choices, ties go to less loss, then fewer bytes, fewer microseconds, the lower index.
//
// allocate() solves the Lagrangian dual (Everett 1963; Fisher 1981), whose value no choice can
// beat, and turns its prices into a choice that fits; how far that choice is from the bound is its
// gap. Sums of microseconds are compared as they come out when added in the order of the layers.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

namespace coppice {

// One way to store and run a layer. Finite, none negative.
struct Candidate {
  double loss = 0.0;          // predicted, algorithms/sensitivity.h
  std::int64_t bytes = 0;     // of all layers together at most 2^53
  double microseconds = 0.0;  // measured on the device
};

using LayerCandidates = std::vector<Candidate>;  // at least one, any order

// What all layers may take together. Absent: as much as they like.
struct Budget {
  std::optional<std::int64_t> bytes = {};
  std::optional<double> microseconds = {};
};

struct Allocation {
  std::vector<std::int64_t> choice;  // which candidate, a layer
  double loss = 0.0;                 // sums of what was chosen
  std::int64_t bytes = 0;
  double microseconds = 0.0;

  // No choice within the budget loses less than `lower_bound`; gap = (loss - bound) / loss, 0 if
  // nothing is lost. Both are 0 if nothing fits.
  double lower_bound = 0.0;
  double gap = 0.0;
  // What one byte or microsecond more would save, to first order; 0 if there is enough.
  double loss_per_byte = 0.0;
  double loss_per_microsecond = 0.0;

  // False: `choice` is the cheapest that was found. It has the fewest bytes if they alone do not
  // fit, else the fewest microseconds if those do not, else (each fits, not both) the least
  // overshoot found.
  bool is_feasible = true;
  // False: there may be a choice that fits after all, the search for one was cut short. Never with
  // one budget.
  bool is_certain = true;
  // Feasible: the budget has a price. Otherwise: it cannot be met, alone or together with the
  // other.
  bool is_bound_by_bytes = false;
  bool is_bound_by_microseconds = false;
  // The least that any choice takes, each by itself.
  std::int64_t least_bytes = 0;
  double least_microseconds = 0.0;
};

// With one budget the dual is solved exactly, over the breakpoints of each layer's convex hull;
// with two, exactly in bytes within a search in the price of a microsecond. Its choice is repaired,
// what is left over is spent, Pareto fronts cut to a few hundred states are searched for more, and
// single and pairs of layers change their candidates while that gains. A choice that fits is always
// found if there is one (two budgets: unless is_certain is false). Throws ConfigError naming layer
// and candidate for a layer without candidates and for values that are negative or not finite, and
// for a budget that is. 60 layers of 50 candidates take milliseconds.
Allocation allocate(std::span<const LayerCandidates> layers, const Budget& budget);

// allocate() for each of `byte_budgets`, in their order, all with the same limit on microseconds. A
// larger budget never loses more.
std::vector<Allocation> frontier(std::span<const LayerCandidates> layers,
                                 std::span<const std::int64_t> byte_budgets,
                                 std::optional<double> microseconds = {});

struct ExactAllocation {
  Allocation allocation;
  bool is_exact = true;            // no choice loses less; false: a front had to be cut
  std::int64_t largest_front = 0;  // states between two layers
};

// The least loss within `budget_bytes`, by dynamic programming over (bytes, loss) without bins:
// what allocate() gives bounds which states can still be part of it. When more than `max_states`
// are left between two layers, the most promising stay and the result is not exact. For certifying
// gaps: 40 layers of 40 candidates are usual; time and memory grow with the states. Throws as
// allocate() does, and ConfigError unless max_states is in [1, 2^26].
ExactAllocation exact_allocation(std::span<const LayerCandidates> layers, std::int64_t budget_bytes,
                                 std::int64_t max_states = 1 << 16);

}  // namespace coppice
