#pragma once
// The Lagrangian dual of the knapsack: prices of the costs at which layers that choose for
// themselves, each the least of loss + price x cost, together come closest to the limits. Pure
// functions; any thread.

#include <vector>  // for vector

#include "algorithms/knapsack/problem.h"

namespace coppice::knapsack {

// The value of the dual at `prices` (>= 0): no choice within the limits has less loss. Rounding is
// taken off, so that this holds for the number returned. Costs without a limit have price 0.
double dual_bound(const Problem& problem, const Costs& prices);

struct Dual {
  // False: even mixtures of options do not fit, so no choice does. Nothing else is filled then.
  bool is_attainable = false;
  Costs prices = {};
  double bound = 0.0;           // dual_bound(prices)
  std::vector<Choice> choices;  // near the optimum, to start from; not all fit
};

// One limit: exact. Two: a cutting-plane search in one dimension, at most 96 evaluations; the bound
// is that of the best prices seen.
Dual solve_dual(const Problem& problem);

}  // namespace coppice::knapsack
