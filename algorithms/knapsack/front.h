#pragma once
// Exact dynamic programming over Pareto fronts: the states after some layers are all pairs (cost,
// value) of which none is as bad or worse than another in both. No bins, so costs are not rounded.
// Pure functions; any thread.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "algorithms/knapsack/hull.h"
#include "algorithms/knapsack/problem.h"

namespace coppice::knapsack {

struct FrontBounds {
  double limit = 0.0;  // of cost
  double upper = 0.0;  // of value: no result above it is wanted
  std::int64_t max_states = 1 << 16;
};

struct FrontResult {
  std::optional<Choice> choice;  // absent: nothing within limit and upper was found
  bool is_complete = true;       // false: a front was cut to max_states
  std::int64_t largest_front = 0;
};

// The choice of one item a layer with the least sum of values, of costs at most `limit` together;
// sums that differ by rounding count as equal. The widest layers go first. A state is dropped when
// even mixtures of the layers to come (their convex hulls) cannot end within limit and upper: what
// is left after the wide layers is nearly continuous, so this leaves few.
FrontResult least_value(std::span<const std::vector<Item>> layers, const FrontBounds& bounds);

}  // namespace coppice::knapsack
