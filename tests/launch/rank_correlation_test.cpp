#include "launch/bench/rank_correlation.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"

namespace coppice {
namespace {

using Values = std::vector<double>;

TEST(RankCorrelationTest, EqualValuesShareTheMeanOfTheirPlaces) {
  EXPECT_EQ(ranks_of(Values{30.0, 10.0, 20.0}), (Values{3.0, 1.0, 2.0}));
  EXPECT_EQ(ranks_of(Values{5.0, 1.0, 5.0, 5.0}), (Values{3.0, 1.0, 3.0, 3.0}));
  EXPECT_EQ(ranks_of(Values{-1.0, -1.0}), (Values{1.5, 1.5}));
}

TEST(RankCorrelationTest, OnlyTheOrderCounts) {
  const Values a{1.0, 2.0, 3.0, 4.0};
  EXPECT_EQ(rank_correlation(a, Values{1.0, 10.0, 100.0, 1e9}), 1.0);
  EXPECT_EQ(rank_correlation(a, Values{0.0, -1.0, -2.0, -50.0}), -1.0);
  // 1 - 6 sum d^2 / (n (n^2 - 1)): places 2 1 4 3 are each one off.
  EXPECT_DOUBLE_EQ(rank_correlation(a, Values{6.0, 5.0, 9.0, 7.0}), 1.0 - 6.0 * 4.0 / 60.0);
  EXPECT_EQ(rank_correlation(a, Values{2.0, 2.0, 2.0, 2.0}), 0.0);
}

TEST(RankCorrelationTest, WhatHasNoOrderIsRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(rank_correlation(Values{1.0, 2.0}, Values{1.0}), ConfigError);
  EXPECT_THROW(rank_correlation(Values{1.0}, Values{1.0}), ConfigError);
  EXPECT_THROW(rank_correlation(Values{1.0, nan}, Values{1.0, 2.0}), ConfigError);
}

}  // namespace
}  // namespace coppice
