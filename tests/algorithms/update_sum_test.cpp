#include "algorithms/update_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"

namespace coppice {
namespace {

constexpr std::int64_t kLengths[] = {0,  1,  3,    15,   16,   17,   63,
                                     64, 65, 1000, 8191, 8192, 8193, 20000};
// The total of two of each below 2^20: one, light and heavy weights are multiplied differently, and
// those in between by how large the differences are.
constexpr std::int64_t kWeights[] = {1, 2, 60, 255, 256, 511, 1000, 4000, 6000, 65535};
constexpr GridSpec kGrid{6, 36};
constexpr std::int64_t kMaxWeight = 1 << 20;

std::vector<float> model(std::int64_t n, std::uint64_t seed, float scale) {
  std::vector<float> values(static_cast<std::size_t>(n));
  RandomStream stream({.seed = seed});
  for (float& value : values)
    value = std::ldexp(scale * static_cast<float>(stream.next_normal()),
                       -static_cast<int>(stream.next_below(40)));
  return values;
}

std::vector<float> subtracted(const std::vector<float>& local, const std::vector<float>& global) {
  std::vector<float> out(local.size());
  std::ranges::transform(local, global, out.begin(), std::minus<>());
  return out;
}

void expect_same(const ExactSum& a, const ExactSum& b) {
  EXPECT_TRUE(std::ranges::equal(a.units(), b.units()));
  EXPECT_EQ(a.weight(), b.weight());
}

double add_one(ExactSum& sum, const std::vector<float>& global, const std::vector<float>& local,
               std::int64_t weight) {
  WeightedModel one{.parameters = local, .weight = weight};
  add_differences(sum, global, {&one, 1});
  return one.length.norm();
}

TEST(UpdateSumTest, OnePassGivesTheBitsOfSubtractingAndAdding) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t weight : kWeights) {
      const std::vector<float> global = model(n, 1, 1.0F);
      const std::vector<float> local = model(n, 2, 8.0F);
      ExactSum fused(n, kGrid, kMaxWeight);
      ExactSum plain(n, kGrid, kMaxWeight);
      ExactSum added(n, kGrid, kMaxWeight);
      for (int twice = 0; twice < 2; ++twice) {
        add_one(fused, global, local, weight);
        ASSERT_TRUE(plain.add(subtracted(local, global), weight));
        ASSERT_TRUE(add_values(added, subtracted(local, global), weight));
      }
      expect_same(fused, plain);
      expect_same(added, plain);
    }
  }
}

TEST(UpdateSumTest, CoarseAndFineGridsRoundAlike) {
  for (const GridSpec grid : {GridSpec{6, 36}, GridSpec{6, 4}, GridSpec{6, 0}, GridSpec{20, 31},
                              GridSpec{6, 45}, GridSpec{6, 46}}) {
    const std::vector<float> global(333, 0.0F);
    const std::vector<float> local = model(333, 3, 7.0F);
    for (const std::int64_t weight : {1, 3, 30}) {
      ExactSum fused(333, grid, 32);
      ExactSum plain(333, grid, 32);
      ASSERT_TRUE(plain.add(local, weight));
      if (fits_one_pass(grid)) {
        add_one(fused, global, local, weight);
      } else {
        ASSERT_TRUE(add_values(fused, local, weight));
      }
      expect_same(fused, plain);
    }
  }
}

TEST(UpdateSumTest, HalfAQuantumRoundsToEven) {
  const std::vector<float> local{0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F};
  const std::vector<float> global(local.size(), 0.0F);
  ExactSum sum(6, {6, 0}, 10);
  add_one(sum, global, local, 3);
  EXPECT_TRUE(std::ranges::equal(sum.units(), std::vector<std::int64_t>{0, 6, 6, 0, -6, -6}));
}

TEST(UpdateSumTest, SeveralModelsTogetherAreThoseOneByOne) {
  for (const std::int64_t n : kLengths) {
    const std::vector<float> global = model(n, 1, 1.0F);
    std::vector<std::vector<float>> locals;
    std::vector<WeightedModel> models;
    ExactSum apart(n, kGrid, kMaxWeight);
    std::vector<double> norms;
    for (std::uint64_t k = 0; k < std::size(kWeights); ++k)
      locals.push_back(model(n, 10 + k, 2.0F));
    for (std::size_t k = 0; k < locals.size(); ++k) {
      models.push_back({.parameters = locals[k], .weight = kWeights[k]});
      norms.push_back(add_one(apart, global, locals[k], kWeights[k]));
    }
    ExactSum together(n, kGrid, kMaxWeight);
    add_differences(together, global, models);
    expect_same(together, apart);
    for (std::size_t k = 0; k < models.size(); ++k) EXPECT_EQ(models[k].length.norm(), norms[k]);
  }
}

// Those whose weights let several models share a pass, in cohorts that leave groups of every size.
TEST(UpdateSumTest, CohortsOfEverySizeAreTheirModelsOneByOne) {
  constexpr std::int64_t kSize = 5000;
  const std::vector<float> global = model(kSize, 1, 1.0F);
  std::vector<std::vector<float>> locals;
  for (std::uint64_t k = 0; k < 17; ++k) locals.push_back(model(kSize, 10 + k, 1.0F));
  for (const bool weighted : {false, true}) {
    ExactSum apart(kSize, kGrid, kMaxWeight);
    for (std::size_t count = 1; count <= locals.size(); ++count) {
      const auto weight_of = [&](std::size_t k) {
        return weighted ? static_cast<std::int64_t>(7 * k + 1) : 1;
      };
      std::vector<WeightedModel> models;
      for (std::size_t k = 0; k < count; ++k)
        models.push_back({.parameters = locals[k], .weight = weight_of(k)});
      const double norm = add_one(apart, global, locals[count - 1], weight_of(count - 1));
      ExactSum together(kSize, kGrid, kMaxWeight);
      add_differences(together, global, models);
      expect_same(together, apart);
      EXPECT_EQ(models.back().length.norm(), norm);
    }
  }
}

TEST(UpdateSumTest, OneOfSeveralIsTakenBackToTheBit) {
  const std::vector<float> global = model(100, 1, 1.0F);
  const std::vector<float> good = model(100, 2, 1.0F);
  std::vector<float> bad = model(100, 3, 1.0F);
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  bad[17] = std::numeric_limits<float>::infinity();
  bad[40] = std::numeric_limits<float>::lowest();
  bad[50] = 1e6F;
  for (const std::int64_t weight : {1, 60}) {
    ExactSum without(100, kGrid, kMaxWeight);
    add_one(without, global, good, weight);
    add_one(without, global, good, weight);
    std::vector<WeightedModel> models(3, {.parameters = good, .weight = weight});
    models[1].parameters = bad;
    ExactSum sum(100, kGrid, kMaxWeight);
    add_differences(sum, global, models);
    take_back_difference(sum, global, models[1]);
    expect_same(sum, without);
  }
}

// NaN, infinities and what overflows leave nothing behind.
TEST(UpdateSumTest, WhatIsTakenBackWasNeverThere) {
  for (const std::int64_t weight : kWeights) {
    std::vector<float> bad = model(100, 4, 1.0F);
    bad[3] = std::numeric_limits<float>::quiet_NaN();
    bad[40] = std::numeric_limits<float>::infinity();
    bad[41] = -std::numeric_limits<float>::infinity();
    bad[98] = -std::numeric_limits<float>::quiet_NaN();
    bad[99] = std::numeric_limits<float>::max();
    bad[50] = std::numeric_limits<float>::lowest();
    bad[51] = 1e6F;
    const std::vector<float> global = model(100, 5, 1.0F);
    ExactSum sum(100, kGrid, kMaxWeight);
    add_one(sum, global, model(100, 6, 1.0F), 9);
    const ExactSum before = sum;
    WeightedModel added{.parameters = bad, .weight = weight};
    add_differences(sum, global, {&added, 1});
    EXPECT_FALSE(std::isfinite(added.length.norm()));
    take_back_difference(sum, global, added);
    expect_same(sum, before);
  }
}

TEST(UpdateSumTest, NormIsTheLengthOfTheDifferenceHoweverItIsFound) {
  const std::vector<float> zeros(3, 0.0F);
  std::vector<float> out(3);
  EXPECT_EQ(difference(std::vector{3.0F, 0.0F, -4.0F}, zeros, out), 5.0);
  EXPECT_EQ(out, (std::vector{3.0F, 0.0F, -4.0F}));
  EXPECT_EQ(difference({}, {}, {}), 0.0);
  const std::vector<float> zero(2, 0.0F);
  std::vector<float> two(2);
  // fp32 squares would overflow or vanish
  EXPECT_NEAR(difference(std::vector{3e30F, 4e30F}, zero, two), 5e30, 5e30 * 1e-6);
  EXPECT_NEAR(difference(std::vector{3e-30F, 4e-30F}, zero, two), 5e-30, 5e-30 * 1e-6);
  for (const std::int64_t n : kLengths) {
    const std::vector<float> global = model(n, 1, 1.0F);
    const std::vector<float> local = model(n, 2, 8.0F);
    std::vector<float> update(local.size());
    ExactSum sum(n, kGrid, kMaxWeight);
    EXPECT_EQ(difference(local, global, update), add_one(sum, global, local, 7));
    EXPECT_EQ(update, subtracted(local, global));
  }
}

TEST(UpdateSumTest, OneBadValueMakesTheNormBad) {
  const std::vector<float> zeros(40, 0.0F);
  std::vector<float> out(40);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {0U, 17U, 39U}) {
      std::vector<float> local(40, 1.0F);
      local[at] = bad;
      EXPECT_FALSE(std::isfinite(difference(local, zeros, out)));
    }
  }
}

TEST(UpdateSumTest, WithinTheGridIsDecidedValueByValue) {
  const std::vector<float> zeros(200, 0.0F);
  std::vector<float> local(200, 63.0F);  // longer than 64, each value shorter
  const auto within = [&] {
    std::vector<float> out(200);
    return is_within(kGrid, difference(local, zeros, out), zeros, local);
  };
  EXPECT_TRUE(within());
  local[150] = -64.0F;
  EXPECT_FALSE(within());
  local[150] = std::nextafter(-64.0F, 0.0F);
  EXPECT_TRUE(within());
}

TEST(UpdateSumTest, ValuesOutsideTheGridAreRefusedAndNothingIsAdded) {
  for (const float bad : {64.0F, -1e30F, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    ExactSum sum(20, kGrid, 10);
    std::vector<float> values(20, 1.0F);
    values[18] = bad;
    EXPECT_FALSE(add_values(sum, values, 1));
    expect_same(sum, ExactSum(20, kGrid, 10));
  }
}

TEST(UpdateSumTest, SizesWeightsAndGridsThatDoNotFitAreRefused) {
  const std::vector<float> three(3, 0.0F);
  const std::vector<float> four(4, 0.0F);
  ExactSum sum(3, kGrid, 10);
  EXPECT_THROW(add_one(sum, three, four, 1), ConfigError);
  EXPECT_THROW(add_one(sum, four, three, 1), ConfigError);
  EXPECT_THROW(add_one(sum, three, three, 11), ConfigError);
  EXPECT_THROW(add_one(sum, three, three, 0), ConfigError);
  EXPECT_THROW((void)add_values(sum, four, 1), ConfigError);
  EXPECT_THROW((void)add_values(sum, three, 11), ConfigError);
  std::vector<float> out(3);
  EXPECT_THROW(difference(three, four, out), ConfigError);
  ExactSum fine(3, {6, 46}, 10);
  EXPECT_THROW(add_one(fine, three, three, 1), ConfigError);
}

}  // namespace
}  // namespace coppice
