#include "launch/assignment.h"

#include <algorithm>  // for stable_sort, min_element
#include <numeric>    // for iota

namespace coppice {

std::vector<std::vector<std::int64_t>> assign_clients(std::span<const std::int64_t> cohort,
                                                      std::span<const double> costs, int ranks) {
  std::vector<std::size_t> order(cohort.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<std::vector<std::int64_t>> assigned(static_cast<std::size_t>(ranks));
  std::vector<double> load(assigned.size());
  for (const std::size_t i : order) {
    const auto rank =
        static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    assigned[rank].push_back(cohort[i]);
    load[rank] += costs[i];
  }
  return assigned;
}

}  // namespace coppice
