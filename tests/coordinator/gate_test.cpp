// The round machine's part in judging choices and taking them back.
#include <gtest/gtest.h>

#include "coordinator/step_control.h"
#include "deploy/file_bytes.h"
#include "tests/coordinator/fake_population.h"

namespace coppice {
namespace {

constexpr std::int64_t kTarget = 214;  // bytes; everything in 8 bits takes about 230

ExperimentConfig gated_config() {
  ExperimentConfig config = small_config(14);
  config.compress.control = true;
  config.compress.constraints.max_bytes = kTarget;
  config.compress.constraints.min_retention = 0.95;
  config.compress.allocate.allocator = "joint";
  config.compress.allocate.densities = {1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};
  config.compress.allocate.bits = {8};
  config.compress.allocate.start = 0.15;  // after round 2
  config.compress.allocate.end = 0.72;    // after round 10
  config.compress.allocate.steps = 4;
  config.compress.gate.recovery_rounds = 2;
  config.compress.quantize.start = 0.7;
  config.strategy.server_momentum = 0.5;
  return config;
}

// A model that has lost more than a fifth of its weights has lost an eighth of its accuracy.
std::int64_t lost_when_thin(const ServerState& state) {
  return state.mask.size() > 0 && 5 * state.mask.kept() < 4 * state.mask.size() ? 100 : 0;
}

bool is_gate(const ClientTask& task) { return task.gate.has_value(); }

// Of the main track.
std::vector<RoundRecord> judged(const FakeDriver& driver) {
  std::vector<RoundRecord> out;
  for (const RoundRecord& record : driver.records()) {
    if (record.gate && record.gate->progress) out.push_back(record);
  }
  return out;
}

TEST(GateTest, ChoicesAndJudgementsFallIntoTheRoundsOfThePlan) {
  const std::vector<RoundPlan> plans = plan_rounds(gated_config());
  std::vector<std::int64_t> gates, choices, quantized;
  for (const RoundPlan& plan : plans) {
    if (plan.gates) gates.push_back(plan.round);
    if (plan.track == kMainTrack) choices.push_back(plan.choices);
    if (plan.is_quantized) quantized.push_back(plan.round);
    EXPECT_EQ(plan.is_compared, plan.track == kMainTrack && plan.is_last_of_track);
  }
  EXPECT_EQ(gates, (std::vector<std::int64_t>{4, 6, 8, 10}));
  EXPECT_EQ(choices, (std::vector<std::int64_t>{0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4}));
  EXPECT_EQ(quantized, (std::vector<std::int64_t>{11, 12, 13, 14}));  // not before the last gate
}

TEST(GateTest, ChoicesThatAllPassReachTheTarget) {
  FakeDriver driver(gated_config(), {});
  const ServerState& state = driver.run_all();
  EXPECT_EQ(state.steps.progress, StepControl::kWhole);
  EXPECT_FALSE(state.steps.has_failed);
  EXPECT_FALSE(state.before_choice);
  EXPECT_LE(file_bytes(to_checkpoint(state, 14)).file, kTarget);
  const std::vector<RoundRecord> gates = judged(driver);
  ASSERT_EQ(gates.size(), 4U);
  EXPECT_EQ(gates[0].gate->progress, 0.25);
  EXPECT_EQ(gates[3].gate->progress, 1.0);
  for (const RoundRecord& record : gates) {
    EXPECT_TRUE(record.gate->has_passed);
    EXPECT_EQ(record.gate->counts, (OutcomeCounts{.both = 4800, .neither = 1200}));
  }
  const RoundRecord& last = driver.records().back();
  ASSERT_TRUE(last.gate);  // the finished model is compared as well
  EXPECT_FALSE(last.gate->progress);
  EXPECT_EQ(last.gate->retention->estimate, 1.0);
}

TEST(GateTest, FailureRestoresTheModelAndHalvesTheStep) {
  FakePopulation population;
  population.lost = lost_when_thin;
  FakeDriver driver(gated_config(), population);
  Action action = driver.begin();
  int failures = 0;
  while (!std::holds_alternative<Finish>(action)) {
    const auto* send = std::get_if<SendTask>(&action);
    if (send != nullptr && is_gate(send->task) && driver.state().before_choice) {
      const StepControl before = driver.state().steps;
      const std::int64_t tried = driver.state().tried;
      const std::int64_t epoch = driver.state().mask_epoch;
      const KeptModel kept_model = *driver.state().before_choice;
      const bool is_thin = lost_when_thin(driver.state()) > 0;
      action = driver.obey(action);
      const ServerState& state = driver.state();
      EXPECT_FALSE(state.before_choice);
      EXPECT_EQ(state.steps.progress, is_thin ? before.progress : tried);
      if (!is_thin) continue;
      ++failures;
      EXPECT_EQ(state.parameters, kept_model.parameters);
      EXPECT_EQ(state.mask, kept_model.mask);
      EXPECT_EQ(state.weight_bits, kept_model.weight_bits);
      EXPECT_EQ(state.strategy_state, kept_model.strategy_state);
      EXPECT_EQ(state.mask_epoch, epoch + 1);
      EXPECT_EQ(state.steps.step, (tried - before.progress) / 2);
      continue;
    }
    action = driver.obey(action);
  }
  EXPECT_GT(failures, 0);
  const ServerState& state = driver.state();
  EXPECT_LT(state.steps.progress, StepControl::kWhole);
  EXPECT_EQ(lost_when_thin(state), 0);
  EXPECT_TRUE(driver.records().back().gate->has_passed);
  EXPECT_FALSE(state.plan.weights.empty());  // it ends in integers all the same
  EXPECT_GT(file_bytes(to_checkpoint(state, 14)).file, kTarget);
}

TEST(GateTest, NothingThatPassesLeavesADenseModelOfEightBits) {
  FakePopulation population;
  population.lost = [](const ServerState& state) { return state.mask.size() > 0 ? 700 : 0; };
  FakeDriver driver(gated_config(), population);
  const ServerState& state = driver.run_all();
  EXPECT_EQ(state.steps.progress, 0);
  EXPECT_EQ(state.mask.size(), 0);
  ASSERT_EQ(state.plan.weights.size(), 2U);
  for (const WeightQuant& quant : state.plan.weights) EXPECT_EQ(quant.bits, 8);
  EXPECT_EQ(judged(driver).size(), 4U);
}

TEST(GateTest, GroupingAndOrderOfClientsDoNotMatter) {
  FakePopulation population;
  population.lost = lost_when_thin;
  const ServerState one = FakeDriver(gated_config(), population).run_all();
  for (const std::int64_t sites : {2, 3, 6}) {
    for (std::int64_t deal = 0; deal < 3; ++deal) {
      FakeDriver driver(gated_config(), population, sites, deal);
      const ServerState& other = driver.run_all();
      EXPECT_EQ(other.parameters, one.parameters);
      EXPECT_EQ(other.mask, one.mask);
      EXPECT_EQ(other.steps, one.steps);
      EXPECT_EQ(other.plan, one.plan);
    }
  }
}

TEST(GateTest, ResumedMachineEndsTheSame) {
  FakePopulation population;
  population.lost = lost_when_thin;
  const ServerState undisturbed = FakeDriver(gated_config(), population).run_all();
  for (std::size_t rounds = 14; rounds < 28; ++rounds) {
    FakeDriver first(gated_config(), population);
    first.run(first.begin(), rounds);
    const auto position = static_cast<std::int64_t>(rounds);
    const std::vector<std::uint8_t> bytes = to_bytes(to_checkpoint(first.state(), position));
    FakeDriver second(gated_config(), population);
    second.machine().restore(
        from_checkpoint(checkpoint_from_bytes(bytes, "test"), position, first.state().norm_median));
    const ServerState& state = second.run_all();
    EXPECT_EQ(state.parameters, undisturbed.parameters) << rounds;
    EXPECT_EQ(state.mask, undisturbed.mask) << rounds;
    EXPECT_EQ(state.steps, undisturbed.steps) << rounds;
    EXPECT_EQ(state.strategy_state, undisturbed.strategy_state) << rounds;
    EXPECT_EQ(state.weight_bits, undisturbed.weight_bits) << rounds;
    EXPECT_EQ(state.choices, undisturbed.choices) << rounds;
  }
}

TEST(GateTest, ClientThatIsRefusedHasNoSay) {
  FakePopulation population;
  population.poisoned = {2, 5};
  FakeDriver driver(gated_config(), population);
  driver.run_all();
  std::int64_t gates = 0;
  for (const ClientTask& task : driver.tasks()) {
    if (!is_gate(task)) continue;
    ++gates;
    EXPECT_EQ(task.cohort, (std::vector<std::int64_t>{0, 1, 3, 4}));
  }
  EXPECT_EQ(gates, 5);
  EXPECT_EQ(driver.records().back().gate->counts.labels(), 4000);
}

TEST(GateTest, ChoiceThatNobodyJudgesIsTakenBack) {
  FakeDriver driver(gated_config(), {});
  Action action = driver.begin();
  int asked = 0;
  while (!std::holds_alternative<Finish>(action)) {
    const auto* send = std::get_if<SendTask>(&action);
    if (send != nullptr && is_gate(send->task) && ++asked == 1) {
      const std::vector<float> before = driver.state().before_choice->parameters;
      action = *driver.machine().handle(TimedOut{});
      EXPECT_EQ(driver.state().parameters, before);
      EXPECT_TRUE(driver.state().steps.has_failed);
    } else {
      action = driver.obey(action);
    }
  }
  EXPECT_FALSE(judged(driver).front().gate->retention);
}

TEST(GateTest, DenseModelIsCountedOnceForEachClient) {
  FakeDriver driver(gated_config(), {});
  driver.run_all();
  const std::vector<RoundRecord> gates = judged(driver);
  // Fakes count nothing down: what is there is the dense model's frame, for six clients.
  EXPECT_GT(gates[0].bytes_down, 0);
  EXPECT_EQ(gates[0].bytes_down % 6, 0);
  for (std::size_t i = 1; i < gates.size(); ++i) EXPECT_EQ(gates[i].bytes_down, 0);
  ExperimentConfig taught = gated_config();
  taught.compress.distill.teacher = "control";
  FakeDriver other(taught, {});
  other.run_all();
  for (const RoundRecord& record : judged(other)) EXPECT_EQ(record.bytes_down, 0);
}

TEST(GateTest, RetentionWithoutAGateIsComparedAtTheEndAlone) {
  ExperimentConfig config = gated_config();
  config.compress.gate.recovery_rounds = 0;
  FakePopulation population;
  population.lost = lost_when_thin;
  FakeDriver driver(config, population);
  driver.run_all();
  EXPECT_TRUE(judged(driver).empty());
  const RoundRecord& last = driver.records().back();
  ASSERT_TRUE(last.gate);
  EXPECT_EQ(last.gate->has_passed, lost_when_thin(driver.state()) == 0);
  config.compress.constraints.min_retention.reset();
  FakeDriver without(config, population);
  const ServerState& state = without.run_all();
  EXPECT_FALSE(without.records().back().gate);
  EXPECT_EQ(state.parameters, driver.state().parameters);  // it only looks
}

}  // namespace
}  // namespace coppice
