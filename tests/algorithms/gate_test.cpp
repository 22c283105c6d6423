// Paired counts against closed forms and against draws of known retention.
#include "algorithms/gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace coppice {
namespace {

constexpr double kConfidence = 0.95;

TEST(GateTest, QuantilesAreThoseOfTables) {
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-12);
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536269514722, 1e-11);
  EXPECT_NEAR(normal_quantile(0.975), 1.9599639845400545, 1e-11);
  EXPECT_NEAR(normal_quantile(0.999), 3.0902323061678132, 1e-10);
  EXPECT_THROW(normal_quantile(0.49), ConfigError);
  EXPECT_THROW(normal_quantile(1.0), ConfigError);
  EXPECT_THROW(normal_quantile(std::nan("")), ConfigError);
}

TEST(GateTest, EstimateIsTheRatioOfAccuracies) {
  const Retention kept =
      retention({.both = 80, .only_dense = 10, .only_compressed = 5, .neither = 5}, 0.95).value();
  EXPECT_DOUBLE_EQ(kept.estimate, 85.0 / 90.0);
  // The same, solved by another program from the same equation.
  EXPECT_NEAR(kept.lower_bound.value(), 0.8764347394307453, 1e-9);
  EXPECT_NEAR(kept.upper_bound.value(), 1.0172805978333155, 1e-9);
}

// At a bound the mean of x = c - rho d lies z standard errors from zero, computed label by label.
TEST(GateTest, BoundsAreWhereTheMeanIsZStandardErrorsFromZero) {
  const OutcomeCounts counts{
      .both = 5100, .only_dense = 180, .only_compressed = 120, .neither = 600};
  const Retention kept = retention(counts, kConfidence).value();
  const double cells[] = {5100.5, 180.5, 120.5, 600.5};
  const double n = 6002.0;
  for (const double rho : {kept.lower_bound.value(), kept.upper_bound.value()}) {
    const double x[] = {1.0 - rho, -rho, 1.0, 0.0};
    double mean = 0.0;
    double squares = 0.0;
    for (int i = 0; i < 4; ++i) {
      mean += cells[i] * x[i] / n;
      squares += cells[i] * x[i] * x[i] / n;
    }
    const double error = std::sqrt((squares - mean * mean) / n);
    EXPECT_NEAR(std::abs(mean) / error, normal_quantile(kConfidence), 1e-6) << rho;
  }
  EXPECT_LT(kept.lower_bound.value(), kept.estimate);
  EXPECT_GT(kept.upper_bound.value(), kept.estimate);
}

TEST(GateTest, PairsTellMoreThanTwoAccuraciesDo) {
  // Both are right on 90 %: once on the same labels, once on others.
  const auto width = [](const OutcomeCounts& counts) {
    const Retention kept = retention(counts, kConfidence).value();
    return kept.upper_bound.value() - kept.lower_bound.value();
  };
  const double same = width({.both = 890, .only_dense = 10, .only_compressed = 10, .neither = 90});
  const double other = width({.both = 810, .only_dense = 90, .only_compressed = 90, .neither = 10});
  EXPECT_LT(2.5 * same, other);
}

TEST(GateTest, NoDisagreementAtAllIsNoProof) {
  const Retention few = retention({.both = 100}, kConfidence).value();
  const Retention many = retention({.both = 100'000}, kConfidence).value();
  EXPECT_EQ(few.estimate, 1.0);
  EXPECT_LT(few.lower_bound.value(), 0.99);
  EXPECT_GT(many.lower_bound.value(), 0.9999);
}

TEST(GateTest, FewLabelsHaveAnEstimateAlone) {
  const Retention kept = retention({.both = 90, .only_dense = 9}, kConfidence).value();
  EXPECT_FALSE(kept.lower_bound);
  EXPECT_FALSE(kept.upper_bound);
  EXPECT_DOUBLE_EQ(kept.decisive(), 90.0 / 99.0);
  const Retention enough =
      retention({.both = 90, .only_dense = 9, .neither = 1}, kConfidence).value();
  EXPECT_LT(enough.decisive(), 90.0 / 99.0);
}

TEST(GateTest, DenseModelThatIsNeverRightHasNoRetention) {
  EXPECT_FALSE(retention({.only_compressed = 50, .neither = 950}, kConfidence));
  const Retention rarely =
      retention({.only_dense = 1, .only_compressed = 1, .neither = 998}, kConfidence).value();
  EXPECT_EQ(rarely.lower_bound.value(), 0.0);
  EXPECT_FALSE(rarely.upper_bound);
  EXPECT_THROW(retention({.both = -1}, kConfidence), ConfigError);
}

// 2,000 draws of n labels from known shares: the bounds hold in 95 % of them, within three standard
// errors below and no more than 3 points above where models often disagree.
struct Shares {
  double both, only_dense, only_compressed;
  int labels;
};
class CoverageTest : public ::testing::TestWithParam<Shares> {};

TEST_P(CoverageTest, BoundsHoldAsOftenAsTheySay) {
  const Shares& shares = GetParam();
  const double truth = (shares.both + shares.only_compressed) / (shares.both + shares.only_dense);
  RandomStream stream({.seed = 5, .task = shares.labels});
  constexpr int kDraws = 2000;
  int below = 0;
  int above = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    OutcomeCounts counts;
    for (int i = 0; i < shares.labels; ++i) {
      const double at = stream.next_uniform_double();
      if (at < shares.both) {
        ++counts.both;
      } else if (at < shares.both + shares.only_dense) {
        ++counts.only_dense;
      } else if (at < shares.both + shares.only_dense + shares.only_compressed) {
        ++counts.only_compressed;
      } else {
        ++counts.neither;
      }
    }
    const Retention kept = retention(counts, kConfidence).value();
    below += kept.lower_bound.value() <= truth ? 1 : 0;
    above += kept.upper_bound.value() >= truth ? 1 : 0;
  }
  const double error = std::sqrt(kConfidence * (1.0 - kConfidence) / kDraws);
  for (const int held : {below, above}) {
    EXPECT_GE(held, kDraws * (kConfidence - 3.0 * error));
    EXPECT_LE(held, kDraws * (kConfidence + 0.03));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, CoverageTest,
    ::testing::Values(Shares{0.85, 0.03, 0.02, 300}, Shares{0.60, 0.05, 0.02, 401},
                      Shares{0.70, 0.10, 0.10, 150}, Shares{0.86, 0.03, 0.017, 1500}),
    [](const auto& test) { return "Of" + std::to_string(test.param.labels) + "Labels"; });

TEST(StepControlTest, EvenStepsReachTheWholeIfAllPass) {
  StepControl steps{.step = StepControl::kWhole / 5};
  std::vector<double> tried;
  for (const std::int64_t left : {3, 2, 1}) {
    const std::int64_t next = steps.next(left);
    tried.push_back(static_cast<double>(next) / static_cast<double>(StepControl::kWhole));
    steps.pass(next);
  }
  EXPECT_NEAR(tried[0], 1.0 / 3.0, 1e-5);
  EXPECT_NEAR(tried[1], 1.0 / 3.0 + 1.25 / 3.0, 1e-5);  // a quarter longer than the first
  EXPECT_EQ(tried[2], 1.0);
  EXPECT_EQ(steps.progress, StepControl::kWhole);
}

TEST(StepControlTest, FailuresHalveTheStepAndSuccessesGrowItByAQuarter) {
  StepControl steps{.progress = 100, .step = 400};
  steps.fail(500);
  EXPECT_EQ(steps.progress, 100);
  EXPECT_EQ(steps.next(1), 300);  // no longer to the whole at once
  steps.pass(300);
  EXPECT_EQ(steps.progress, 300);
  EXPECT_EQ(steps.next(1), 550);
  steps.fail(550);
  steps.fail(steps.next(1));
  EXPECT_EQ(steps.next(1), 300 + 62);
}

TEST(StepControlTest, NeverStandsStillAndNeverGoesTooFar) {
  StepControl steps{.step = 4};
  for (int i = 0; i < 25; ++i) steps.fail(steps.next(1));
  EXPECT_EQ(steps.next(1), 1);
  steps = {.progress = StepControl::kWhole - 2, .step = 1000};
  EXPECT_EQ(steps.next(3), StepControl::kWhole);
}

}  // namespace
}  // namespace coppice
