#include "coordinator/round_plan.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

ExperimentConfig config_of(std::int64_t rounds, bool is_pruned, bool has_control) {
  ExperimentConfig config;
  config.train.rounds = rounds;
  config.compress.prune.pruner = is_pruned ? "magnitude" : "none";
  config.compress.prune.target = 0.25;
  config.compress.control = has_control;
  return config;
}

// "phase keep" of every round of the main track.
std::vector<std::string> phases(const ExperimentConfig& config) {
  std::vector<std::string> out;
  for (const RoundPlan& plan : plan_rounds(config)) {
    if (plan.track == kMainTrack) out.push_back(plan.phase);
  }
  return out;
}

class RoundPlanTest : public testing::TestWithParam<std::tuple<std::int64_t, bool, bool>> {};

TEST_P(RoundPlanTest, TracksRunOneAfterTheOtherAndTheModelEndsAtTheTarget) {
  const auto [rounds, is_pruned, has_control] = GetParam();
  const std::vector<RoundPlan> plans = plan_rounds(config_of(rounds, is_pruned, has_control));
  ASSERT_EQ(static_cast<std::int64_t>(plans.size()), has_control ? 2 * rounds : rounds);
  double before = 1.0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const bool is_control = has_control && static_cast<std::int64_t>(i) < rounds;
    EXPECT_EQ(plans[i].track, is_control ? kControlTrack : kMainTrack);
    EXPECT_EQ(plans[i].round, static_cast<std::int64_t>(i) % rounds + 1);
    EXPECT_EQ(plans[i].is_last_of_track, plans[i].round == rounds);
    EXPECT_TRUE(plans[i].is_evaluated);
    EXPECT_LE(plans[i].keep_fraction, is_control ? 1.0 : before);
    if (is_control) {
      EXPECT_EQ(plans[i].phase, "control");
      EXPECT_EQ(plans[i].keep_fraction, 1.0);
    } else {
      before = plans[i].keep_fraction;
    }
  }
  EXPECT_EQ(plans.back().keep_fraction, is_pruned ? 0.25 : 1.0);
}

TEST_P(RoundPlanTest, LastShrinkComesBeforeTheLastRound) {
  const auto [rounds, is_pruned, has_control] = GetParam();
  const std::vector<RoundPlan> plans = plan_rounds(config_of(rounds, is_pruned, has_control));
  if (!is_pruned || rounds == 1) return;
  EXPECT_EQ(plans[plans.size() - 2].keep_fraction, 0.25);
}

INSTANTIATE_TEST_SUITE_P(Rounds, RoundPlanTest,
                         testing::Combine(testing::Values(1, 2, 3, 10), testing::Bool(),
                                          testing::Bool()));

TEST(RoundPlanPhasesTest, PhasesAreNamedByWhatTheModelDoes) {
  using Phases = std::vector<std::string>;
  EXPECT_EQ(phases(config_of(1, true, false)), (Phases{"shrink"}));
  EXPECT_EQ(phases(config_of(2, true, false)), (Phases{"shrink", "recover"}));
  EXPECT_EQ(phases(config_of(3, true, false)), (Phases{"shrink", "shrink", "recover"}));
  EXPECT_EQ(phases(config_of(3, false, false)), (Phases{"train", "train", "train"}));
  ExperimentConfig late = config_of(10, true, false);
  late.compress.prune.start = 0.3;
  late.compress.prune.end = 0.6;
  late.compress.prune.steps = 2;  // at the end of rounds 3 and 6
  EXPECT_EQ(phases(late), (Phases{"warmup", "warmup", "shrink", "shrink", "shrink", "shrink",
                                  "recover", "recover", "recover", "recover"}));
  const std::vector<RoundPlan> plans = plan_rounds(late);
  EXPECT_EQ(plans[1].keep_fraction, 1.0);
  EXPECT_DOUBLE_EQ(plans[2].keep_fraction, 0.25 + 0.75 / 8.0);
  EXPECT_DOUBLE_EQ(plans[4].keep_fraction, 0.25 + 0.75 / 8.0);
  EXPECT_EQ(plans[5].keep_fraction, 0.25);
}

TEST(RoundPlanPhasesTest, QuantizedRoundsComeLastAndRangesAreCountedBeforeAndAfterThem) {
  using Phases = std::vector<std::string>;
  const auto calibrations = [](const ExperimentConfig& config) {
    std::vector<std::int64_t> rounds;
    for (const RoundPlan& plan : plan_rounds(config)) {
      if (plan.calibrates) rounds.push_back(plan.round);
    }
    return rounds;
  };
  ExperimentConfig config = config_of(10, true, true);
  config.compress.prune.start = 0.2;
  config.compress.prune.end = 0.4;
  config.compress.prune.steps = 2;
  config.compress.quantize.bits = 8;
  config.compress.quantize.start = 0.7;
  EXPECT_EQ(phases(config), (Phases{"warmup", "shrink", "shrink", "shrink", "recover", "recover",
                                    "recover", "quantize", "quantize", "quantize"}));
  EXPECT_EQ(calibrations(config), (std::vector<std::int64_t>{7, 10}));
  config.compress.quantize.start = 0.1;  // not before the last shrink
  EXPECT_EQ(phases(config)[4], "quantize");
  EXPECT_EQ(calibrations(config), (std::vector<std::int64_t>{4, 10}));
}

TEST(RoundPlanPhasesTest, FewRoundsAreStillCalibrated) {
  for (const std::int64_t rounds : {1, 2, 3}) {
    for (const bool is_pruned : {false, true}) {
      ExperimentConfig config = config_of(rounds, is_pruned, true);
      config.compress.quantize.bits = 4;
      const std::vector<RoundPlan> plans = plan_rounds(config);
      EXPECT_TRUE(plans.back().calibrates) << rounds;
      EXPECT_EQ(plans.back().keep_fraction, is_pruned ? 0.25 : 1.0);
      EXPECT_EQ(plans.back().is_quantized, rounds > 1) << rounds;
      for (std::size_t i = 1; i < plans.size(); ++i) {
        const bool shrinks = plans[i].keep_fraction < plans[i - 1].keep_fraction;
        EXPECT_FALSE(shrinks && plans[i].is_quantized) << rounds;
      }
    }
  }
}

TEST(RoundPlanPhasesTest, TeachersAreListenedToFromTheirStartAndStudentsDistill) {
  ExperimentConfig config = config_of(4, false, true);
  config.compress.distill.teacher = "control";
  config.compress.distill.start = 0.5;
  config.compress.distill.student.name = "mlp";
  const std::vector<RoundPlan> plans = plan_rounds(config);
  for (const RoundPlan& plan : plans) {
    EXPECT_EQ(plan.distills, plan.track == kMainTrack && plan.round > 2);
    EXPECT_EQ(plan.phase, plan.track == kMainTrack ? "distill" : "control");
  }
}

TEST(RoundPlanPhasesTest, OddFractionsStillEndAtTheTarget) {
  for (const double start : {0.0, 0.5, 1.0}) {
    for (const double end : {0.0, 0.5, 1.0}) {
      for (const std::int64_t steps : {1, 2, 7, 50}) {
        ExperimentConfig config = config_of(5, true, false);
        config.compress.prune.start = start;
        config.compress.prune.end = end;
        config.compress.prune.steps = steps;
        EXPECT_EQ(plan_rounds(config)[3].keep_fraction, 0.25) << start << end << steps;
      }
    }
  }
}

TEST(RoundPlanPhasesTest, LastRoundIsEvaluatedWhateverTheInterval) {
  ExperimentConfig config = config_of(5, false, true);
  config.eval.every = 2;
  std::vector<bool> evaluated;
  for (const RoundPlan& plan : plan_rounds(config)) evaluated.push_back(plan.is_evaluated);
  EXPECT_EQ(evaluated,
            (std::vector<bool>{false, true, false, true, true, false, true, false, true, true}));
}

}  // namespace
}  // namespace coppice
