#include "launch/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace coppice {
namespace {

using Lists = std::vector<std::vector<std::int64_t>>;

TEST(AssignmentTest, LongestGoFirstToTheLeastLoadedRank) {
  const std::vector<std::int64_t> cohort{10, 20, 30, 40, 50};
  const std::vector<double> costs{1, 5, 3, 4, 2};
  // 20 -> rank 0 (5), 40 -> rank 1 (4), 30 -> rank 1 (7), 50 -> rank 0 (7), 10 -> rank 0 (8)
  EXPECT_EQ(assign_clients(cohort, costs, 2), (Lists{{20, 50, 10}, {40, 30}}));
}

TEST(AssignmentTest, TiesGoToTheLowerClientAndTheLowerRank) {
  const std::vector<std::int64_t> cohort{3, 4, 5, 6};
  EXPECT_EQ(assign_clients(cohort, std::vector<double>(4, 1.0), 3), (Lists{{3, 6}, {4}, {5}}));
}

TEST(AssignmentTest, EveryClientIsPlacedOnceWhateverTheRanks) {
  std::vector<std::int64_t> cohort(37);
  std::iota(cohort.begin(), cohort.end(), std::int64_t{100});
  std::vector<double> costs;
  for (std::size_t i = 0; i < cohort.size(); ++i) costs.push_back(static_cast<double>(i * 7 % 11));
  for (const int ranks : {1, 2, 5, 37, 50}) {
    std::vector<std::int64_t> all;
    double largest = 0.0;
    for (const auto& clients : assign_clients(cohort, costs, ranks)) {
      all.insert(all.end(), clients.begin(), clients.end());
      double load = 0.0;
      for (const std::int64_t client : clients)
        load += costs[static_cast<std::size_t>(client - 100)];
      largest = std::max(largest, load);
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, cohort);
    const double mean = std::accumulate(costs.begin(), costs.end(), 0.0) / ranks;
    EXPECT_LE(largest, mean + 10.0) << ranks;  // Graham: above the mean by less than one client
  }
  EXPECT_EQ(assign_clients({}, {}, 2), (Lists{{}, {}}));
}

}  // namespace
}  // namespace coppice
