#include "launch/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace coppice {
namespace {

using Lists = std::vector<std::vector<std::int64_t>>;

std::vector<std::int64_t> all_of(const std::vector<double>& samples) {
  std::vector<std::int64_t> cohort(samples.size());
  std::iota(cohort.begin(), cohort.end(), std::int64_t{0});
  return cohort;
}

// One rank a node.
std::vector<int> nodes_of(int ranks) {
  std::vector<int> nodes(static_cast<std::size_t>(ranks));
  std::iota(nodes.begin(), nodes.end(), 0);
  return nodes;
}

TEST(PlacementTest, LongestGoFirstToTheLeastLoadedNode) {
  Placement placement({1, 5, 3, 4, 2}, nodes_of(2));
  // 1 -> node 0 (5), 3 -> node 1 (4), 2 -> node 1 (7), 4 -> node 0 (7), 0 -> node 0 (8)
  EXPECT_EQ(placement.place(std::vector<std::int64_t>{0, 1, 2, 3, 4}), (Lists{{1, 4, 0}, {3, 2}}));
}

TEST(PlacementTest, ANodeGetsAsMuchAsItHasRanks) {
  Placement placement(std::vector<double>(9, 1.0), {0, 0, 1});
  const Lists placed = placement.place(std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(placed[0].size(), 6U);
  EXPECT_EQ(placed[1].size(), 3U);
}

TEST(PlacementTest, TiesGoToTheLowerClientAndTheLowerNode) {
  Placement placement(std::vector<double>(7, 1.0), nodes_of(3));
  EXPECT_EQ(placement.place(std::vector<std::int64_t>{3, 4, 5, 6}), (Lists{{3, 6}, {4}, {5}}));
}

TEST(PlacementTest, EveryClientIsPlacedOnceWhateverTheNodes) {
  std::vector<double> samples(37);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<double>(1 + i * 7 % 11);
  const std::vector<std::int64_t> cohort = all_of(samples);
  for (const int nodes : {1, 2, 5, 37, 50}) {
    std::vector<std::int64_t> all;
    double largest = 0.0;
    for (const auto& clients : Placement(samples, nodes_of(nodes)).place(cohort)) {
      all.insert(all.end(), clients.begin(), clients.end());
      double load = 0.0;
      for (const std::int64_t client : clients) load += samples[static_cast<std::size_t>(client)];
      largest = std::max(largest, load);
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, cohort);
    const double mean = std::accumulate(samples.begin(), samples.end(), 0.0) / nodes;
    EXPECT_LE(largest, mean + 11.0) << nodes;  // Graham: above the mean by less than one client
  }
  EXPECT_EQ(Placement({}, nodes_of(2)).place({}), (Lists{{}, {}}));
}

// Ranks with speeds of their own and clients with work of their own, which it is not told.
struct Machine {
  std::vector<double> speeds;  // by rank
  std::vector<int> nodes;      // by rank
  std::vector<double> work;    // by client
  double overhead = 1.3;       // of a rank, on top of its clients' training

  // Seconds until the last rank is done, and then the placement has learned.
  double round(Placement& placement, const std::vector<std::int64_t>& cohort) const {
    const Lists placed = placement.place(cohort);
    std::vector<ClientRow> rows;
    std::vector<double> busy(speeds.size());
    for (std::size_t node = 0; node < placed.size(); ++node) {
      for (const std::int64_t client : placed[node]) {
        const std::size_t rank = first_free(busy, static_cast<int>(node));
        ClientRow& row = rows.emplace_back();
        row.client = client;
        row.seconds = work[static_cast<std::size_t>(client)] / speeds[rank];
        busy[rank] += overhead * row.seconds;
      }
    }
    placement.learn(rows, busy);
    return *std::ranges::max_element(busy);
  }

  std::size_t first_free(const std::vector<double>& busy, int node) const {
    std::size_t best = speeds.size();
    for (std::size_t rank = 0; rank < speeds.size(); ++rank) {
      if (nodes[rank] == node && (best == speeds.size() || busy[rank] < busy[best])) best = rank;
    }
    return best;
  }

  double best() const {  // if work could be cut at will
    return overhead * std::accumulate(work.begin(), work.end(), 0.0) /
           std::accumulate(speeds.begin(), speeds.end(), 0.0);
  }
};

TEST(PlacementTest, ClientsThatTakeLongerThanTheirSamplesSayAreLearned) {
  Machine machine{{1.0, 1.0}, {0, 1}, {}};
  for (int i = 0; i < 40; ++i) machine.work.push_back(i % 4 == 0 ? 0.5 : 0.1);
  const std::vector<std::int64_t> cohort = all_of(machine.work);
  Placement placement(std::vector<double>(40, 100.0), machine.nodes);
  for (int i = 0; i < 12; ++i) machine.round(placement, cohort);
  EXPECT_LT(machine.round(placement, cohort), 1.1 * machine.best());
}

TEST(PlacementTest, ASlowNodeGetsLessAndRecoversWhenItIsFastAgain) {
  Machine machine{{1.0, 0.5, 1.0, 0.5}, {0, 1, 0, 1}, {}};
  for (int i = 0; i < 300; ++i) machine.work.push_back(0.01 + 0.001 * (i % 7));
  const std::vector<std::int64_t> cohort = all_of(machine.work);
  Placement placement(std::vector<double>(300, 1.0), machine.nodes);
  const double first = machine.round(placement, cohort);
  EXPECT_GT(first, 1.4 * machine.best());
  for (int i = 0; i < 8; ++i) machine.round(placement, cohort);
  EXPECT_LT(machine.round(placement, cohort), 1.05 * machine.best());
  EXPECT_NEAR(placement.speeds()[1] / placement.speeds()[0], 0.5, 0.03);
  machine.speeds[1] = machine.speeds[3] = 1.0;
  for (int i = 0; i < 8; ++i) machine.round(placement, cohort);
  EXPECT_LT(machine.round(placement, cohort), 1.05 * machine.best());
}

TEST(PlacementTest, NodesWithoutClientsAndRoundsThatTookNoTimeTeachNothing) {
  Placement placement({1.0, 2.0}, nodes_of(3));
  const Lists placed = placement.place(std::vector<std::int64_t>{1});
  EXPECT_EQ(placed, (Lists{{1}, {}, {}}));
  placement.learn({}, std::vector<double>{0.0, 0.0, 0.0});
  ClientRow row;
  row.client = 1;
  row.seconds = 1.0;
  placement.learn({&row, 1}, std::vector<double>{1.5, 0.0, 0.0});
  for (const double speed : placement.speeds()) EXPECT_DOUBLE_EQ(speed, 1.0);
}

}  // namespace
}  // namespace coppice
