// The round machine's part in quantization and distillation.
#include <gtest/gtest.h>

#include "algorithms/quantize.h"
#include "comm/messages.h"
#include "tests/coordinator/fake_population.h"

namespace coppice {
namespace {

ExperimentConfig full_config(std::int64_t rounds) {
  ExperimentConfig config = pruned_config(rounds);
  config.compress.quantize.bits = 8;
  config.compress.quantize.start = 0.5;
  config.compress.distill.teacher = "control";
  return config;
}

bool is_calibration(const ClientTask& task) { return task.calibration.has_value(); }

bool has_teacher(const ClientTask& task) { return is_distilled(task.plan); }

// Runs a machine of any model to its end; `check` sees every task before it is done.
template <typename Check>
void drive(RoundMachine& machine, const FakePopulation& population, Check&& check) {
  Action action = machine.begin({0});
  while (!std::holds_alternative<Finish>(action)) {
    if (const auto* send = std::get_if<SendTask>(&action)) {
      check(send->task);
      action = *machine.handle(
          ReportArrived{0, population.train(send->task, machine.state(), send->task.cohort)});
    } else if (std::holds_alternative<Evaluate>(action)) {
      action = *machine.handle(Evaluated{});
    } else {
      action = *machine.handle(Committed{});
    }
  }
}

TEST(CompressionTest, ModelEndsOnTheGridsOfWhatWasCounted) {
  for (const std::int64_t rounds : {1, 2, 3, 6}) {
    FakeDriver driver(full_config(rounds), {});
    const ServerState& state = driver.run_all();
    EXPECT_EQ(state.plan.weights, weight_grids(state.graph, state.parameters, 8)) << rounds;
    ASSERT_EQ(state.plan.activations.size(), 2U);
    EXPECT_EQ(state.plan.activations[0].node, "input");
    EXPECT_EQ(state.plan.activations[1].node, "relu");
    // Magnitudes from 1/8 to 6/8 on both sides, whoever counted them.
    EXPECT_NEAR(state.plan.activations[0].zero_point, 128, 2);
    EXPECT_NEAR(state.plan.activations[0].scale, 1.6 / 255.0, 0.1 / 255.0);
    const RoundRecord& last = driver.records().back();
    EXPECT_LT(last.mean_bits, 32.0);
    EXPECT_EQ(driver.records().front().mean_bits, 32.0);
  }
}

TEST(CompressionTest, ReducedRangeIsSevenBitsInThePlan) {
  ExperimentConfig config = full_config(3);
  config.compress.quantize.reduce_range = true;
  FakeDriver driver(config, {});
  const ServerState& state = driver.run_all();
  EXPECT_EQ(state.plan.weights, weight_grids(state.graph, state.parameters, 7));
  EXPECT_EQ(quant_plan_from_json(to_json(state.plan), state.graph), state.plan);
}

TEST(CompressionTest, TheFinishedModelIsTheMeanOfTheLastOnes) {
  ExperimentConfig config = full_config(10);
  FakeDriver plain(config, {});
  std::vector<std::vector<float>> after;  // of all rounds, the control's first
  for (Action action = plain.begin(); !std::holds_alternative<Finish>(action);) {
    action = plain.run(std::move(action), 1);
    after.push_back(plain.state().parameters);
  }
  ASSERT_EQ(after.size(), 20U);
  config.compress.quantize.average = 0.3;
  const ServerState averaged = FakeDriver(config, {}).run_all();
  EXPECT_TRUE(averaged.averaged.empty());
  EXPECT_NE(averaged.parameters, after[19]);
  ASSERT_EQ(averaged.parameters.size(), after[19].size());
  for (std::size_t i = 0; i < after[19].size(); ++i)
    EXPECT_NEAR(averaged.parameters[i], (after[17][i] + after[18][i] + after[19][i]) / 3.0F, 1e-6F);
  EXPECT_EQ(averaged.plan.weights, weight_grids(averaged.graph, averaged.parameters, 8));
}

TEST(CompressionTest, TheMeanSoFarOutlivesAResume) {
  ExperimentConfig config = full_config(10);
  config.compress.quantize.average = 0.3;
  const ServerState undisturbed = FakeDriver(config, {}).run_all();
  std::size_t with_mean = 0;
  for (std::size_t rounds = 15; rounds < 20; ++rounds) {
    FakeDriver before(config, {});
    before.run(before.begin(), rounds);
    const ServerState& state = before.state();
    with_mean += state.averaged.empty() ? 0 : 1;
    FakeDriver resumed(config, {});
    resumed.machine().restore(
        from_checkpoint(to_checkpoint(state, 0), state.position, state.norm_median));
    EXPECT_EQ(resumed.run_all().parameters, undisturbed.parameters) << rounds;
  }
  EXPECT_EQ(with_mean, 2U);
}

TEST(CompressionTest, CalibrationsStandBeforeAndAfterTheQuantizedRounds) {
  FakeDriver driver(full_config(6), {});
  driver.run_all();
  std::vector<std::int64_t> calibrated;
  for (const ClientTask& task : driver.tasks()) {
    if (is_calibration(task)) calibrated.push_back(task.round);
  }
  EXPECT_EQ(calibrated, (std::vector<std::int64_t>{3, 6}));
  EXPECT_EQ(driver.records().size(), 12U);  // a calibration is part of its round
}

TEST(CompressionTest, GroupingAndOrderOfClientsDoNotMatter) {
  const ServerState one = FakeDriver(full_config(5), {}).run_all();
  for (const std::int64_t sites : {2, 3, 6}) {
    for (std::int64_t deal = 0; deal < 3; ++deal) {
      const ServerState other = FakeDriver(full_config(5), {}, sites, deal).run_all();
      EXPECT_EQ(other.parameters, one.parameters);
      EXPECT_EQ(other.plan, one.plan);
    }
  }
}

TEST(CompressionTest, RefusedClientsDoNotShiftTheGrids) {
  FakePopulation poisoned;
  poisoned.poisoned = {5};
  FakeDriver driver(full_config(3), poisoned);
  driver.run_all();
  // Without client 5 the largest magnitude is 5/8.
  EXPECT_NEAR(driver.state().plan.activations[0].scale, 1.3 / 255.0, 0.1 / 255.0);
  for (const RoundRecord& record : driver.records()) {
    EXPECT_EQ(record.refused, 1);
    EXPECT_EQ(record.rows[5].reason, RefusalReason::kNotFinite);
  }
  for (const ClientTask& task : driver.tasks()) {
    const std::set<std::int64_t> cohort(task.cohort.begin(), task.cohort.end());
    EXPECT_EQ(cohort.contains(5), !is_calibration(task));  // not even asked for its counts
  }
}

TEST(CompressionTest, NoCountAtAllIsMadeUpForByTheNextQuantizedRound) {
  FakePopulation population;
  FakeDriver driver(full_config(6), population);
  Action action = driver.begin();
  std::int64_t asked = 0;
  while (!std::holds_alternative<Finish>(action)) {
    const auto* send = std::get_if<SendTask>(&action);
    if (send != nullptr && is_calibration(send->task) && ++asked == 1) {
      action = *driver.machine().handle(TimedOut{});
      EXPECT_TRUE(driver.state().plan.activations.empty());
    } else {
      action = driver.obey(action);
    }
  }
  EXPECT_EQ(asked, 3);  // rounds 3, 4 and 6
  EXPECT_EQ(driver.state().plan.activations.size(), 2U);
}

TEST(CompressionTest, LateReportOfTheTrainingIsNotTakenForACount) {
  FakeDriver driver(full_config(1), {});
  Action action = driver.begin();
  while (!is_calibration(std::get<SendTask>(action).task)) {
    const ClientTask task = std::get<SendTask>(action).task;
    const RankReport late = driver.reports(task).at(0);
    action = driver.obey(action);
    EXPECT_FALSE(driver.machine().handle(ReportArrived{0, late}).has_value());
    while (!std::holds_alternative<SendTask>(action)) action = driver.obey(action);
  }
}

TEST(CompressionTest, ControlTeachesTheMainTrack) {
  FakeDriver driver(full_config(4), {});
  driver.run_all();
  for (const ClientTask& task : driver.tasks()) {
    EXPECT_EQ(has_teacher(task), task.track == kMainTrack && !is_calibration(task));
  }
  FakeDriver control(full_config(4), {});
  control.run(control.begin(), 4);
  EXPECT_EQ(driver.state().teacher, control.state().teacher);
  EXPECT_EQ(*driver.machine().teacher().parameters, control.state().teacher);
}

TEST(CompressionTest, WarmUpTeacherIsTheDenseModelBeforeItsFirstShrink) {
  ExperimentConfig config = full_config(6);
  config.compress.control = false;
  config.compress.distill.teacher = "warmup";
  config.compress.prune.start = 0.3;
  config.compress.prune.end = 0.6;
  FakeDriver driver(config, {});
  driver.run_all();
  for (const ClientTask& task : driver.tasks())
    EXPECT_EQ(has_teacher(task), task.round > 2 && !is_calibration(task)) << task.round;
  ExperimentConfig dense = config;
  dense.compress.prune.pruner = "none";
  dense.compress.quantize.bits = 32;
  dense.compress.distill.teacher = "none";
  dense.train.rounds = 2;
  EXPECT_EQ(driver.state().teacher, FakeDriver(dense, {}).run_all().parameters);
}

TEST(CompressionTest, TeacherBytesAreCountedOnceAClient) {
  ExperimentConfig config = full_config(4);
  config.compress.prune.pruner = "none";
  config.train.clients_per_round = 3;
  FakeDriver driver(config, {});
  driver.run_all();
  const auto bytes = static_cast<std::int64_t>(
      encode_model({small_model().graph.to_json(), "", small_model().parameters}).size());
  std::set<std::int64_t> have;
  for (const RoundRecord& record : driver.records()) {
    if (record.plan.track != kMainTrack) {
      EXPECT_EQ(record.bytes_down, 0);
      continue;
    }
    for (const ClientRow& row : record.rows)
      EXPECT_EQ(row.bytes_down, have.insert(row.client).second ? bytes : 0) << row.client;
  }
}

TEST(CompressionTest, RestoredMachineContinuesToTheSameBits) {
  const ServerState whole = FakeDriver(full_config(4), {}).run_all();
  for (std::size_t stop = 1; stop < 8; ++stop) {
    FakeDriver first(full_config(4), {});
    first.run(first.begin(), stop);
    const ServerState& left = first.state();
    FakeDriver second(full_config(4), {});
    second.machine().restore(
        from_checkpoint(to_checkpoint(left, 1), left.position, left.norm_median));
    const ServerState& state = second.run_all();
    EXPECT_EQ(state.parameters, whole.parameters) << stop;
    EXPECT_EQ(state.plan, whole.plan) << stop;
    EXPECT_EQ(state.teacher, whole.teacher) << stop;
    EXPECT_EQ(state.strategy_state, whole.strategy_state) << stop;
  }
}

TEST(CompressionTest, BatchNormsAreFoldedBeforeTheFirstCount) {
  ExperimentConfig config = full_config(3);
  config.compress.prune.pruner = "none";
  config.compress.control = false;
  config.compress.distill.teacher = "none";
  ServerState dense;
  dense.graph = Graph::build(numbers({1, 4, 4}),
                             {{"conv2d", "conv", {}, {.out = 2, .kernel = {3, 3}, .bias = false}},
                              {"batch_norm", "norm", {}, {}},
                              {"relu", "relu", {}, {}},
                              {"flatten", "flat", {}, {}},
                              {"linear", "out", {}, {.out = 2}}});
  const ParameterArena arena = initial_parameters(dense.graph, 1);
  dense.parameters.assign(arena.values().begin(), arena.values().end());
  const FakePopulation population;
  RoundMachine machine(config, population.weights, dense);
  drive(machine, population, [&](const ClientTask& task) {
    const bool is_float = task.round <= 2 && !is_calibration(task);
    EXPECT_EQ(machine.state().graph.node_named("norm") >= 0, is_float) << task.round;
  });
  EXPECT_NE(machine.state().plan.activation("relu"), nullptr);
  EXPECT_GE(machine.state().graph.parameter_named("conv.bias"), 0);
  EXPECT_TRUE(machine.state().strategy_state.contains("server_momentum"));
}

TEST(CompressionTest, StudentIsTrainedInsteadOfTheDenseModel) {
  ExperimentConfig config = full_config(2);
  config.compress.prune.pruner = "none";
  const FakePopulation population;
  OtherModels others;
  others.student = small_model(2);
  RoundMachine machine(config, population.weights, small_model(), others);
  drive(machine, population, [&](const ClientTask& task) {
    const bool is_main = task.track == kMainTrack;
    EXPECT_EQ(machine.state().graph, is_main ? small_model(2).graph : small_model().graph);
  });
  EXPECT_EQ(machine.teacher().parameters->size(), small_model().parameters.size());
  EXPECT_EQ(machine.state().parameters.size(), small_model(2).parameters.size());
}

}  // namespace
}  // namespace coppice
