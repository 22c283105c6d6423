#pragma once
// The multiple-choice knapsack in the form that the solvers of algorithms/allocation.h work on:
// candidates that can matter, and limits on at most two costs. Plain values; any thread.

#include <array>    // for array
#include <cstddef>  // for size_t
#include <cstdint>  // for int64_t
#include <vector>   // for vector

namespace coppice::knapsack {

using Costs = std::array<double, 2>;

struct Option {
  double loss = 0.0;
  Costs costs = {};            // 0 where there is no limit
  std::int64_t candidate = 0;  // index in the caller's list
};

// Every layer has an option, by costs[0], then costs[1], ascending. None is as bad or worse than
// another of its layer in everything. A limit that does not exist is infinite; costs[1] has one
// only if costs[0] has.
struct Problem {
  std::vector<std::vector<Option>> layers;
  Costs limits = {};
};

using Choice = std::vector<std::size_t>;  // index into a layer's options, a layer

struct Totals {
  double loss = 0.0;
  Costs costs = {};
};

// Added in the order of the layers: the one sum that decides whether a choice fits.
inline Totals totals_of(const Problem& problem, const Choice& choice) {
  Totals out;
  for (std::size_t l = 0; l < choice.size(); ++l) {
    const Option& option = problem.layers[l][choice[l]];
    out.loss += option.loss;
    for (std::size_t j = 0; j < out.costs.size(); ++j) out.costs[j] += option.costs[j];
  }
  return out;
}

inline bool fits(const Problem& problem, const Costs& costs) {
  return costs[0] <= problem.limits[0] && costs[1] <= problem.limits[1];
}

inline double priced(const Costs& prices, const Costs& costs) {
  return prices[0] * costs[0] + prices[1] * costs[1];
}

// Each layer's option with the least of cost `j`; of those the least of the other, then of loss.
Choice cheapest(const Problem& problem, std::size_t j);

}  // namespace coppice::knapsack
