#include "algorithms/knapsack/hull.h"

#include <algorithm>  // for stable_sort, is_sorted
#include <numeric>    // for iota

namespace coppice::knapsack {

std::vector<Corner> hull_of(std::span<const Item> items) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!std::ranges::is_sorted(items, {}, &Item::cost))
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return items[i].cost; });
  std::vector<Corner> hull;
  for (const std::size_t i : order) {
    Corner next{items[i].cost, items[i].value, 0.0, i};
    if (!hull.empty() && next.value >= hull.back().value) continue;
    if (!hull.empty() && next.cost <= hull.back().cost) hull.pop_back();
    const auto slope = [&] {
      return (hull.back().value - next.value) / (next.cost - hull.back().cost);
    };
    while (hull.size() > 1 && hull.back().slope <= slope()) hull.pop_back();
    if (!hull.empty()) next.slope = slope();
    hull.push_back(next);
  }
  return hull;
}

}  // namespace coppice::knapsack
