#include "core/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kSize = 333;
constexpr int kClients = 40;

// Client k's update: values of magnitudes that differ from client to client.
std::vector<float> update_of(int k) {
  RandomStream stream({.client = k});
  std::vector<float> values(kSize);
  for (float& value : values)
    value = static_cast<float>(std::ldexp(stream.next_normal(), -(k % 20)));
  return values;
}

std::int64_t weight_of(int k) { return 17 * k % 50 + 1; }

ExactSum empty() { return ExactSum(kSize, grid_for(6, 1 << 16), 1 << 16); }

bool add_client(ExactSum& sum, int k) { return sum.add(update_of(k), weight_of(k)); }

void expect_same(const ExactSum& a, const ExactSum& b) {
  EXPECT_TRUE(std::ranges::equal(a.units(), b.units()));
  EXPECT_EQ(a.weight(), b.weight());
}

TEST(ExactSumTest, OrderOfClientsDoesNotMatter) {
  ExactSum forward = empty();
  ExactSum backward = empty();
  ExactSum strided = empty();
  for (int k = 0; k < kClients; ++k) ASSERT_TRUE(add_client(forward, k));
  for (int k = kClients; k > 0; --k) ASSERT_TRUE(add_client(backward, k - 1));
  for (int k = 0; k < kClients; ++k) ASSERT_TRUE(add_client(strided, k * 7 % kClients));
  expect_same(forward, backward);
  expect_same(forward, strided);
}

TEST(ExactSumTest, GroupingOverRanksDoesNotMatter) {
  ExactSum one = empty();
  for (int k = 0; k < kClients; ++k) ASSERT_TRUE(add_client(one, k));
  for (const int ranks : {1, 2, 3, 7, kClients}) {
    std::vector<ExactSum> parts(static_cast<std::size_t>(ranks), empty());
    for (int k = 0; k < kClients; ++k)
      ASSERT_TRUE(add_client(parts[static_cast<std::size_t>(k % ranks)], k));
    for (std::size_t r = parts.size() - 1; r > 0; --r) parts[r - 1].merge(parts[r]);
    expect_same(parts[0], one);
  }
}

TEST(ExactSumTest, MeanOfMultiplesOfTheQuantumIsExact) {
  ExactSum sum(2, {.range_bits = 6, .quantum_bits = 36}, 8);
  ASSERT_TRUE(sum.add(std::vector{0.5F, 63.0F}, 1));
  ASSERT_TRUE(sum.add(std::vector{-2.5F, -63.0F}, 3));
  std::vector<float> mean(2);
  sum.mean(mean);
  EXPECT_EQ(mean[0], (0.5F - 7.5F) / 4.0F);
  EXPECT_EQ(mean[1], (63.0F - 189.0F) / 4.0F);
  EXPECT_EQ(sum.units()[0], std::int64_t{-7} << 36);
}

TEST(ExactSumTest, ValuesAreRoundedHalfToEvenToTheQuantum) {
  ExactSum sum(4, {.range_bits = 6, .quantum_bits = 0}, 1);
  ASSERT_TRUE(sum.add(std::vector{0.5F, 1.5F, -2.5F, 63.9F}, 1));
  EXPECT_TRUE(std::ranges::equal(sum.units(), std::vector<std::int64_t>{0, 2, -2, 64}));
}

TEST(ExactSumTest, RefusedValuesLeaveEverythingAsItWas) {
  for (const float bad : {kNotANumber, kInfinity, -kInfinity, 64.0F, -64.0F, 1e30F}) {
    ExactSum sum(3, {}, 100);
    ASSERT_TRUE(sum.add(std::vector{1.0F, 2.0F, 3.0F}, 7));
    const ExactSum before = sum;
    EXPECT_FALSE(sum.add(std::vector{1.0F, 1.0F, bad}, 5)) << bad;
    expect_same(sum, before);
  }
  ExactSum sum(1, {}, 100);
  EXPECT_TRUE(sum.add(std::vector{std::nextafter(64.0F, 0.0F)}, 1));
}

TEST(ExactSumTest, FullWeightAtTheEdgeOfTheGridDoesNotWrap) {
  constexpr std::int64_t kWeight = 1 << 20;
  ExactSum sum(1, {.range_bits = 6, .quantum_bits = 36}, kWeight);
  const float edge = std::nextafter(64.0F, 0.0F);
  ASSERT_TRUE(sum.add(std::vector{-edge}, kWeight / 2));
  ASSERT_TRUE(sum.add(std::vector{-edge}, kWeight / 2));
  std::vector<float> mean(1);
  sum.mean(mean);
  EXPECT_EQ(mean[0], -edge);
}

TEST(ExactSumTest, GridThatCouldOverflowIsRefusedBeforeAnythingIsAdded) {
  EXPECT_NO_THROW(check_grid({6, 36}, 1 << 20));
  EXPECT_THROW(check_grid({6, 36}, (1 << 20) + 1), ConfigError);
  EXPECT_THROW(check_grid({6, 57}, 1), ConfigError);
  EXPECT_THROW(check_grid({-1, 36}, 1), ConfigError);
  EXPECT_THROW(check_grid({6, -1}, 1), ConfigError);
  EXPECT_THROW(check_grid({2'000'000'000, 2'000'000'000}, 1), ConfigError);
  EXPECT_THROW(check_grid({6, 36}, 0), ConfigError);
  EXPECT_THROW(ExactSum(1, {6, 36}, std::int64_t{1} << 40), ConfigError);
}

TEST(ExactSumTest, GridForIsTheFinestThatFits) {
  EXPECT_EQ(grid_for(6, 1), (GridSpec{6, 36}));
  EXPECT_EQ(grid_for(6, 1 << 20), (GridSpec{6, 36}));
  EXPECT_EQ(grid_for(6, (1 << 20) + 1), (GridSpec{6, 35}));
  EXPECT_EQ(grid_for(6, std::int64_t{1} << 56), (GridSpec{6, 0}));
  EXPECT_THROW(grid_for(6, (std::int64_t{1} << 56) + 1), ConfigError);
  EXPECT_THROW(grid_for(6, INT64_MAX), ConfigError);
  EXPECT_THROW(grid_for(63, 1), ConfigError);
}

TEST(ExactSumTest, WeightsBeyondTheAnnouncedTotalThrow) {
  ExactSum sum(1, {}, 10);
  ASSERT_TRUE(sum.add(std::vector{1.0F}, 7));
  for (const std::int64_t weight :
       {std::int64_t{4}, std::int64_t{0}, std::int64_t{-1}, INT64_MAX}) {
    EXPECT_THROW(static_cast<void>(sum.add(std::vector{1.0F}, weight)), ConfigError) << weight;
  }
  EXPECT_THROW(static_cast<void>(sum.add(std::vector{1.0F, 2.0F}, 1)), ConfigError);
  ExactSum other(1, {}, 10);
  ASSERT_TRUE(other.add(std::vector{1.0F}, 4));
  EXPECT_THROW(sum.merge(other), ConfigError);
  EXPECT_EQ(sum.units()[0], std::int64_t{7} << 36);
}

TEST(ExactSumTest, MergeOfAnotherLayoutThrows) {
  ExactSum sum(2, {6, 36}, 10);
  EXPECT_THROW(sum.merge(ExactSum(3, {6, 36}, 10)), ConfigError);
  EXPECT_THROW(sum.merge(ExactSum(2, {6, 35}, 10)), ConfigError);
}

TEST(ExactSumTest, WhatIsExchangedIsTheUnitsAndTheWeight) {
  ExactSum whole = empty();
  ExactSum here = empty();
  ExactSum there = empty();
  for (int k = 0; k < kClients; ++k) {
    ASSERT_TRUE(add_client(whole, k));
    ASSERT_TRUE(add_client(k % 2 == 0 ? here : there, k));
  }
  ASSERT_EQ(std::ssize(here.exchanged()), here.size() + 1);
  std::ranges::transform(here.exchanged(), there.exchanged(), here.exchanged().begin(),
                         std::plus<>());
  expect_same(here, whole);
}

TEST(ExactSumTest, AddingElsewhereCountsWeightsAndRefusesThemAlike) {
  ExactSum sum(2, {6, 36}, 10);
  EXPECT_EQ(sum.begin_add(7).size(), 2U);
  EXPECT_EQ(sum.weight(), 7);
  EXPECT_THROW(sum.begin_add(4), ConfigError);
  EXPECT_THROW(sum.begin_add(0), ConfigError);
  EXPECT_THROW(sum.begin_take_back(8), ConfigError);
  EXPECT_EQ(sum.begin_take_back(7).size(), 2U);
  EXPECT_EQ(sum.weight(), 0);
}

TEST(ExactSumTest, MeanWithoutWeightOrOfAnotherSizeThrows) {
  ExactSum sum(2, {}, 10);
  std::vector<float> out(2);
  EXPECT_THROW(sum.mean(out), ConfigError);
  ASSERT_TRUE(sum.add(std::vector{1.0F, 2.0F}, 1));
  EXPECT_THROW(sum.mean(std::span(out).first(1)), ConfigError);
}

}  // namespace
}  // namespace coppice
