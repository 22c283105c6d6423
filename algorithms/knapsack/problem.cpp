#include "algorithms/knapsack/problem.h"

#include <algorithm>  // for min_element
#include <tuple>      // for tuple

namespace coppice::knapsack {

Choice cheapest(const Problem& problem, std::size_t j) {
  Choice out;
  for (const std::vector<Option>& options : problem.layers) {
    const auto best = std::ranges::min_element(options, {}, [&](const Option& option) {
      return std::tuple(option.costs[j], option.costs[1 - j], option.loss);
    });
    out.push_back(static_cast<std::size_t>(best - options.begin()));
  }
  return out;
}

}  // namespace coppice::knapsack
