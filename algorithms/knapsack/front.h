#pragma once
// Exact dynamic programming over Pareto fronts: the states after some layers are all pairs (cost,
// value) of which none is as bad or worse than another in both. No bins, so nothing is rounded.
// Pure functions; any thread.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "algorithms/knapsack/problem.h"

namespace coppice::knapsack {

struct Item {
  double cost = 0.0;
  double value = 0.0;
};

// What is known before the search: no result above `upper` is wanted, and `price` >= 0 is what cost
// is worth in value, for bounding what a state can still become. Any price is right; a good one
// keeps fronts short.
struct FrontBounds {
  double limit = 0.0;  // of cost
  double upper = 0.0;  // of value
  double price = 0.0;
  std::int64_t max_states = 1 << 16;
};

struct FrontResult {
  std::optional<Choice> choice;  // absent: nothing within limit and upper was found
  bool is_complete = true;       // false: a front was cut to max_states
  std::int64_t largest_front = 0;
};

// The choice of one item a layer with the least sum of values, of costs at most `limit` together.
FrontResult least_value(std::span<const std::vector<Item>> layers, const FrontBounds& bounds);

}  // namespace coppice::knapsack
