#include "algorithms/client_precision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace coppice {
namespace {

// Losses in turn; the levels after each.
std::vector<std::int64_t> levels_over(const std::vector<double>& losses, std::int64_t window) {
  LevelSchedule schedule;
  std::vector<std::int64_t> out;
  for (const double loss : losses) {
    schedule = after_round(std::move(schedule), loss, 4, window);
    out.push_back(schedule.levels);
  }
  return out;
}

TEST(LevelScheduleTest, LevelsStayWhileTheLossFalls) {
  EXPECT_EQ(levels_over({5, 4, 3, 2, 1, 0.5}, 2), (std::vector<std::int64_t>(6, 4)));
}

TEST(LevelScheduleTest, LevelsDoubleOnceAWindowWhileItStalls) {
  EXPECT_EQ(levels_over({1, 1, 1, 1, 1, 1, 1, 1}, 2),
            (std::vector<std::int64_t>{4, 4, 8, 8, 16, 16, 32, 32}));
  EXPECT_EQ(levels_over({1, 1, 1}, 1), (std::vector<std::int64_t>{4, 8, 16}));
  EXPECT_EQ(levels_over(std::vector<double>(60, 1.0), 1).back(), kMostLevels);
}

// One bad round among falling ones moves the average by a tenth.
TEST(LevelScheduleTest, ItIsTheAverageThatMustFall) {
  EXPECT_EQ(levels_over({10, 6, 6.5, 4, 3}, 2).back(), 4);
  EXPECT_EQ(levels_over({1, 1, 0.5, 3, 3, 3}, 2).back(), 16);
}

TEST(LevelsByWeightTest, EqualClientsHaveTheLevelsThatWereAskedFor) {
  const std::vector<std::int64_t> weights(7, 300);
  for (const double levels : {1.0, 2.0, 17.0, 1000.0})
    for (const std::int64_t of_client : levels_by_weight(weights, levels))
      EXPECT_EQ(of_client, std::llround(levels));
}

// Proportional to p^(2/3), and the variance, sum of p^2 / q^2, is that of equal levels.
TEST(LevelsByWeightTest, LargerClientsHaveMoreAndTheVarianceIsThatOfEqualLevels) {
  const std::vector<std::int64_t> weights{1000, 8000, 27'000, 64'000};
  const std::vector<std::int64_t> levels = levels_by_weight(weights, 1000.0);
  EXPECT_NEAR(static_cast<double>(levels[1]) / static_cast<double>(levels[0]), 4.0, 0.02);
  EXPECT_NEAR(static_cast<double>(levels[3]) / static_cast<double>(levels[0]), 16.0, 0.1);
  double equal = 0.0;
  double given = 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double share = static_cast<double>(weights[i]) / 100'000.0;
    const auto levels_here = static_cast<double>(levels[i]);
    equal += share * share / 1e6;
    given += share * share / (levels_here * levels_here);
    sum += levels_here;
  }
  EXPECT_NEAR(given / equal, 1.0, 0.01);
  EXPECT_LT(sum, 4000.0);
}

TEST(LevelsByWeightTest, NobodyHasLessThanOneLevel) {
  EXPECT_EQ(levels_by_weight(std::vector<std::int64_t>{1, 1'000'000}, 1.0)[0], 1);
}

TEST(BitsByWeightTest, HaveTheMeanThatWasAskedForWithinTheLimits) {
  const std::vector<std::int64_t> weights{10, 20, 40, 80, 5000};
  for (const double mean : {1.0, 1.3, 2.0, 4.5, 7.9, 8.0}) {
    const std::vector<double> bits = bits_by_weight(weights, mean, 1.0, 8.0);
    const double sum = std::accumulate(bits.begin(), bits.end(), 0.0);
    EXPECT_NEAR(sum / 5.0, mean, 1e-9);
    EXPECT_LE(sum, 5.0 * mean + 1e-9);
    for (std::size_t i = 1; i < bits.size(); ++i) EXPECT_GE(bits[i], bits[i - 1]);
    EXPECT_GE(bits[0], 1.0);
    EXPECT_LE(bits[4], 8.0);
  }
  EXPECT_TRUE(bits_by_weight({}, 2.0, 1.0, 8.0).empty());
}

TEST(BitsByWeightTest, TwiceTheSamplesAreOneBitMore) {
  const std::vector<double> bits =
      bits_by_weight(std::vector<std::int64_t>{100, 200, 400}, 4.0, 1.0, 8.0);
  EXPECT_NEAR(bits[0], 3.0, 1e-9);
  EXPECT_NEAR(bits[1], 4.0, 1e-9);
  EXPECT_NEAR(bits[2], 5.0, 1e-9);
}

}  // namespace
}  // namespace coppice
