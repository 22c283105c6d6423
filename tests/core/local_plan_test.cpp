#include "core/local_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/eval_sums.h"
#include "core/quant_plan.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

TEST(ScheduleTest, ConstantIsOneAfterItsWarmUp) {
  const ScheduleSpec schedule{.warmup_rounds = 3};
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 1, 10), 0.25);
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 3, 10), 0.75);
  for (std::int64_t round = 4; round <= 10; ++round)
    EXPECT_EQ(schedule_factor(schedule, round, 10), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor({.warmup_rounds = 50}, 10, 10), 10.0 / 51.0);
}

TEST(ScheduleTest, CosineFallsFromOneTowardsItsMinimum) {
  const ScheduleSpec schedule{.kind = ScheduleKind::kCosine, .warmup_rounds = 2, .min_factor = 0.1};
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 3, 10), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 7, 10), 0.1 + 0.9 / 2.0);  // t = 4/8
  EXPECT_NEAR(schedule_factor(schedule, 9, 10), 0.1 + 0.9 * (1.0 - std::sqrt(0.5)) / 2.0, 1e-15);
  double before = 2.0;
  for (std::int64_t round = 3; round <= 10; ++round) {
    const double now = schedule_factor(schedule, round, 10);
    EXPECT_LT(now, before);
    EXPECT_GE(now, 0.1);
    before = now;
  }
}

TEST(ScheduleTest, StepAndExponentialArePowersOfGamma) {
  const ScheduleSpec step{.kind = ScheduleKind::kStep, .step_rounds = 3, .gamma = 0.5};
  EXPECT_DOUBLE_EQ(schedule_factor(step, 3, 9), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(step, 4, 9), 0.5);
  EXPECT_DOUBLE_EQ(schedule_factor(step, 9, 9), 0.25);
  const ScheduleSpec exponential{
      .kind = ScheduleKind::kExponential, .warmup_rounds = 1, .gamma = 0.9};
  EXPECT_DOUBLE_EQ(schedule_factor(exponential, 2, 9), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(exponential, 5, 9), 0.9 * 0.9 * 0.9);
}

TEST(ScheduleTest, RoundsOutsideTheRunThrow) {
  EXPECT_THROW(schedule_factor({}, 0, 5), ConfigError);
  EXPECT_THROW(schedule_factor({}, 6, 5), ConfigError);
  EXPECT_EQ(schedule_factor({.kind = ScheduleKind::kCosine}, 1, 1), 1.0);
}

TEST(QuantPlanTest, MeanBitsWeighsByElements) {
  const Graph graph = Graph::build(
      numbers({4}), {{"linear", "a", {}, {.out = 5}}, {"linear", "b", {}, {.out = 2}}});
  EXPECT_EQ(mean_bits({}, graph), 32.0);
  const QuantPlan plan{.weights = {{"a.weight", 8, {}}, {"b.weight", 4, {}}}, .activations = {}};
  EXPECT_DOUBLE_EQ(mean_bits(plan, graph), (8.0 * 20 + 4.0 * 10 + 32.0 * 7) / 37.0);
}

TEST(EvalSumsTest, SumsAreExactAndBadLossesAreCountedApart) {
  EvalSums sums = EvalSums::of_batch(3, 4, 2.5);
  sums += EvalSums::of_batch(1, 4, 1.5);
  EXPECT_DOUBLE_EQ(sums.accuracy(), 0.5);
  EXPECT_DOUBLE_EQ(sums.loss(), 0.5);
  sums += EvalSums::of_batch(0, 2, std::nan(""));
  sums += EvalSums::of_batch(0, 2, 1e300);
  EXPECT_EQ(sums.not_finite, 4);
  EXPECT_DOUBLE_EQ(sums.loss(), 0.5);
  EXPECT_DOUBLE_EQ(sums.accuracy(), 4.0 / 12.0);
  EXPECT_EQ(EvalSums::of_units(sums.units()), sums);
  EXPECT_EQ(EvalSums().accuracy(), 0.0);
  EXPECT_EQ(EvalSums().loss(), 0.0);
}

}  // namespace
}  // namespace coppice
