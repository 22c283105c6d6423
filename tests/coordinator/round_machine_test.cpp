#include "coordinator/round_machine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/coordinator/fake_population.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

void expect_same_model(const ServerState& a, const ServerState& b) {
  EXPECT_EQ(a.graph, b.graph);
  EXPECT_EQ(a.parameters, b.parameters);
  EXPECT_EQ(a.strategy_state, b.strategy_state);
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.mask_epoch, b.mask_epoch);
  EXPECT_EQ(a.norm_median, b.norm_median);
  EXPECT_EQ(a.plan, b.plan);
  EXPECT_EQ(a.teacher, b.teacher);
  EXPECT_EQ(a.teacher_round, b.teacher_round);
}

const ClientTask& task_of(const Action& action) { return std::get<SendTask>(action).task; }
const RoundRecord& record_of(const Action& action) { return std::get<CommitRound>(action).record; }

TEST(RoundMachineTest, MeanUpdateIsWeightedBySamples) {
  FakePopulation two;
  two.weights = {1, 3};
  FakeDriver driver(small_config(1), two);
  const std::vector<float> before = driver.state().parameters;
  const std::vector<float> a = two.update(0, 1, before.size());
  const std::vector<float> b = two.update(1, 1, before.size());
  const std::vector<float>& after = driver.run_all().parameters;
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_NEAR(after[i], before[i] + 0.25F * a[i] + 0.75F * b[i], 1e-7F);
  }
}

TEST(RoundMachineTest, ArrivalOrderAndGroupingOfClientsDoNotMatter) {
  const ServerState one = FakeDriver(pruned_config(4), {}).run_all();
  EXPECT_LT(one.parameters.size(), small_model().parameters.size());
  for (const std::int64_t sites : {1, 2, 3, 6, 9}) {
    for (std::int64_t deal = 0; deal < 4; ++deal) {
      FakeDriver driver(pruned_config(4), {}, sites, deal);
      expect_same_model(driver.run_all(), one);
    }
  }
}

TEST(RoundMachineTest, RecordsDoNotDependOnTheGroupingEither) {
  FakeDriver one(pruned_config(4), {});
  FakeDriver six(pruned_config(4), {}, 6, 3);
  one.run_all();
  six.run_all();
  ASSERT_EQ(one.records().size(), 8U);
  for (std::size_t i = 0; i < one.records().size(); ++i) {
    EXPECT_EQ(one.records()[i].train_loss, six.records()[i].train_loss);
    EXPECT_EQ(one.records()[i].norm_median, six.records()[i].norm_median);
    EXPECT_EQ(one.records()[i].bytes_up, 600);
    EXPECT_EQ(one.records()[i].samples, 95);
    ASSERT_EQ(six.records()[i].rows.size(), 6U);
    for (std::int64_t k = 0; k < 6; ++k)
      EXPECT_EQ(six.records()[i].rows[static_cast<std::size_t>(k)].client, k);
  }
}

TEST(RoundMachineTest, PrunedTrackStartsFromTheDenseModelAndEndsAtTheTarget) {
  FakeDriver driver(pruned_config(4), {});
  driver.run_all();
  const auto& records = driver.records();
  const std::int64_t dense = driver.machine().dense_parameters();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(records[i].parameters, dense);
  for (std::size_t i = 5; i < 8; ++i) EXPECT_LE(records[i].parameters, records[i - 1].parameters);
  EXPECT_LE(records[7].density, 0.5);
  EXPECT_EQ(records[7].parameters, driver.state().graph.parameter_count());
  EXPECT_EQ(driver.tasks()[4].track, kMainTrack);
  EXPECT_EQ(driver.tasks()[4].round, 1);
  EXPECT_EQ(driver.tasks()[4].mask_epoch, 0);
  EXPECT_EQ(driver.tasks()[4].cohort, driver.tasks()[0].cohort);
  EXPECT_EQ(driver.state().strategy_state.at("server_momentum").size(),
            driver.state().parameters.size());
}

TEST(RoundMachineTest, RefusedClientIsCountedAndTheResultIsThatOfARunWithoutIt) {
  FakePopulation with;
  with.poisoned = {5};
  FakeDriver poisoned(small_config(3), with);
  FakePopulation without;
  without.weights.pop_back();
  FakeDriver clean(small_config(3), without);
  EXPECT_EQ(poisoned.run_all().parameters, clean.run_all().parameters);
  for (const RoundRecord& record : poisoned.records()) {
    EXPECT_EQ(record.refused, 1);
    EXPECT_EQ(record.rows[5].reason, RefusalReason::kNotFinite);
    EXPECT_TRUE(std::isfinite(record.train_loss));
  }
}

TEST(RoundMachineTest, RoundInWhichAllAreRefusedChangesNothingAndAsksForTheBallotAgain) {
  FakePopulation all;
  all.poisoned = {0, 1, 2, 3, 4, 5};
  ExperimentConfig config = pruned_config(3);
  config.compress.control = false;
  FakeDriver driver(config, all);
  driver.run_all();
  EXPECT_EQ(driver.state().parameters, small_model().parameters);
  EXPECT_EQ(driver.state().mask_epoch, 0);
  EXPECT_EQ(driver.records()[2].train_loss, 0.0);
  EXPECT_TRUE(driver.tasks()[0].ballot.has_value());
  EXPECT_TRUE(driver.tasks()[2].ballot.has_value());
}

TEST(RoundMachineTest, BallotIsAskedOnlyWhileTheModelIsTooLarge) {
  ExperimentConfig config = pruned_config(10);
  config.compress.control = false;
  config.compress.prune.start = 0.3;
  FakeDriver driver(config, {});
  driver.run_all();
  EXPECT_FALSE(driver.tasks()[0].ballot.has_value());
  EXPECT_TRUE(driver.tasks()[2].ballot.has_value());
  EXPECT_FALSE(driver.tasks()[9].ballot.has_value());
}

// 3 + 2 inputs' and outputs' worth of parameters cannot go: the target is out of reach and nobody
// is asked in vain.
TEST(RoundMachineTest, UnreachableTargetStopsAtOneUnitAGroup) {
  ExperimentConfig config = pruned_config(6);
  config.compress.control = false;
  config.compress.prune.target = 0.01;
  FakeDriver driver(config, {});
  driver.run_all();
  EXPECT_EQ(driver.state().graph.layers()[0].attributes.out, 1);
  EXPECT_FALSE(driver.tasks()[5].ballot.has_value());
  EXPECT_EQ(driver.records()[5].mask_epoch, driver.records()[3].mask_epoch);
}

TEST(RoundMachineTest, NormBoundComesFromTheLastCommittedRound) {
  ExperimentConfig config = small_config(3);
  config.train.norm_bound_factor = 2.0;
  FakeDriver driver(config, {});
  driver.run_all();
  EXPECT_EQ(driver.tasks()[0].norm_bound, 0.0);  // no history yet
  std::vector<double> norms;
  for (const ClientRow& row : driver.records()[0].rows) norms.push_back(row.update_norm);
  std::sort(norms.begin(), norms.end());
  EXPECT_EQ(driver.tasks()[1].norm_bound, 2.0 * norms[3]);
  config.train.max_update_norm = 1e-3;
  FakeDriver strict(config, {});
  strict.run_all();
  EXPECT_EQ(strict.tasks()[0].norm_bound, 1e-3);
  EXPECT_EQ(strict.records()[0].refused, 6);
  EXPECT_EQ(strict.tasks()[1].norm_bound, 1e-3);
}

TEST(RoundMachineTest, CohortIsDrawnBySeedAndRound) {
  ExperimentConfig config = small_config(8);
  config.train.clients_per_round = 3;
  FakeDriver driver(config, {});
  driver.run_all();
  std::set<std::vector<std::int64_t>> cohorts;
  for (const ClientTask& task : driver.tasks()) {
    EXPECT_EQ(task.cohort.size(), 3U);
    EXPECT_TRUE(std::is_sorted(task.cohort.begin(), task.cohort.end()));
    cohorts.insert(task.cohort);
  }
  EXPECT_GT(cohorts.size(), 2U);
  config.seed = 2;
  FakeDriver other(config, {});
  other.run_all();
  EXPECT_NE(driver.tasks()[0].cohort, other.tasks()[0].cohort);
  config.train.clients_per_round = 7;
  EXPECT_TRUE(
      contains(thrown_text<ConfigError>([&] { FakeDriver(config, {}); }), "clients_per_round"));
}

TEST(RoundMachineTest, RowsAreByClientInWhateverOrderTheyCome) {
  FakeDriver driver(small_config(1), {}, 1);
  const ClientTask task = task_of(driver.begin());
  RankReport report = driver.reports(task).at(0);
  const std::vector<ClientRow> rows = report.rows;
  ASSERT_GE(rows.size(), 3U);
  ASSERT_TRUE(std::ranges::is_sorted(rows, {}, &ClientRow::client));
  report.rows.assign(rows.rbegin(), rows.rend());
  report.rows.pop_back();                            // rows[0] is missing
  report.rows.insert(report.rows.begin(), rows[1]);  // this one came twice
  ClientRow stranger = rows[2];
  stranger.client = 1'000'000;
  report.rows.insert(report.rows.begin() + 2, stranger);
  const auto next = driver.machine().handle(ReportArrived{0, std::move(report)});
  ASSERT_TRUE(next && std::holds_alternative<Evaluate>(*next));
  const Action commit = driver.machine().handle(Evaluated{}).value();
  const std::vector<ClientRow>& kept = record_of(commit).rows;
  ASSERT_EQ(kept.size(), rows.size());
  EXPECT_EQ(kept[0].status, ClientStatus::kMissing);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(kept[i].client, rows[i].client);
    if (i > 0) {
      EXPECT_EQ(kept[i].update_norm, rows[i].update_norm);
    }
  }
}

TEST(RoundMachineTest, MissingSiteIsMissingAfterTheTimeout) {
  FakeDriver driver(small_config(1), {}, 2);
  const ClientTask task = task_of(driver.begin());
  auto reports = driver.reports(task);
  EXPECT_FALSE(driver.machine().handle(ReportArrived{0, reports.at(0)}).has_value());
  const auto next = driver.machine().handle(TimedOut{});
  ASSERT_TRUE(next && std::holds_alternative<Evaluate>(*next));
  const Action commit = driver.machine().handle(Evaluated{}).value();
  EXPECT_EQ(record_of(commit).missing, 3);
  EXPECT_EQ(record_of(commit).rows[1].status, ClientStatus::kMissing);
  EXPECT_EQ(record_of(commit).rows[0].status, ClientStatus::kAccepted);
}

TEST(RoundMachineTest, SiteThatLeavesIsNotWaitedForAndOneThatJoinsComesWithTheNextTask) {
  FakeDriver driver(small_config(2), {}, 2);
  const ClientTask task = task_of(driver.begin());
  EXPECT_FALSE(driver.machine().handle(Joined{7}).has_value());
  EXPECT_FALSE(driver.machine().handle(Left{7}).has_value());
  EXPECT_FALSE(driver.machine().handle(Joined{5}).has_value());
  EXPECT_FALSE(driver.machine().handle(ReportArrived{0, driver.reports(task).at(0)}).has_value());
  const auto next = driver.machine().handle(Left{1});
  ASSERT_TRUE(next && std::holds_alternative<Evaluate>(*next));
  const Action second = driver.obey(driver.obey(*next));
  auto reports = driver.reports(task_of(second));
  EXPECT_FALSE(driver.machine().handle(ReportArrived{0, reports.at(0)}).has_value());
  EXPECT_TRUE(driver.machine().handle(ReportArrived{5, reports.at(1)}).has_value());
}

TEST(RoundMachineTest, DuplicateAndForeignReportsAreIgnored) {
  FakeDriver expected(small_config(2), {}, 2);
  expected.run_all();
  FakeDriver driver(small_config(2), {}, 2);
  const ClientTask first = task_of(driver.begin());
  const auto early = driver.reports(first);
  EXPECT_FALSE(driver.machine().handle(ReportArrived{9, early.at(1)}).has_value());  // unknown site
  EXPECT_FALSE(driver.machine().handle(ReportArrived{0, early.at(0)}).has_value());
  EXPECT_FALSE(driver.machine().handle(ReportArrived{0, early.at(0)}).has_value());  // again
  const Action evaluate = driver.machine().handle(ReportArrived{1, early.at(1)}).value();
  EXPECT_FALSE(driver.machine().handle(ReportArrived{1, early.at(1)}).has_value());  // after the
                                                                                     // round closed
  const Action second = driver.obey(driver.obey(evaluate));
  EXPECT_FALSE(
      driver.machine().handle(ReportArrived{0, early.at(0)}).has_value());  // of the model before
  EXPECT_FALSE(driver.machine().handle(ReportArrived{1, early.at(1)}).has_value());
  driver.run(second);
  expect_same_model(driver.state(), expected.state());
  EXPECT_EQ(driver.records()[1].missing, 0);
  EXPECT_EQ(driver.records()[1].train_loss, expected.records()[1].train_loss);
}

TEST(RoundMachineTest, ReportOfAnotherLayoutIsAnErrorThatNamesTheSite) {
  FakeDriver driver(small_config(1), {}, 2);
  const ClientTask task = task_of(driver.begin());
  RankReport report = driver.reports(task).at(1);
  report.sums.begin()->second.at(kUpdateSum) = ExactSum(3, task.update_grid, task.max_weight);
  const std::string error = thrown_text<Error>([&] {
    driver.machine().handle(ReportArrived{1, report});
  });
  EXPECT_TRUE(contains(error, "site 1")) << error;
}

TEST(RoundMachineTest, RestoredMachineContinuesToTheSameBits) {
  FakeDriver whole(pruned_config(4), {}, 3);
  whole.run_all();
  for (std::size_t killed = 0; killed <= 8; ++killed) {
    FakeDriver first(pruned_config(4), {}, 2);
    first.run(first.begin(), killed);
    ServerState saved = first.state();
    // What a resumed run knows: next_task() has reset the state at the start of a track, a commit
    // has not.
    FakeDriver second(pruned_config(4), {}, 3, 1);
    second.machine().restore(
        from_checkpoint(to_checkpoint(saved, 0), saved.position, saved.norm_median));
    second.run(second.begin());
    expect_same_model(second.state(), whole.state());
    EXPECT_EQ(second.records().size(), 8 - killed);
  }
}

TEST(RoundMachineTest, EventsOutOfOrderThrow) {
  FakeDriver driver(small_config(1), {});
  RoundMachine& machine = driver.machine();
  EXPECT_THROW(machine.handle(Evaluated{}), Error);
  EXPECT_THROW(machine.handle(Committed{}), Error);
  EXPECT_THROW(machine.handle(TimedOut{}), Error);
  const Action task = driver.begin();
  EXPECT_THROW(machine.begin({0}), Error);
  EXPECT_THROW(machine.restore(small_model()), Error);
  EXPECT_THROW(machine.handle(Evaluated{}), Error);
  EXPECT_THROW(machine.handle(Committed{}), Error);
  const Action evaluate = driver.obey(task);
  EXPECT_THROW(machine.handle(Committed{}), Error);
  EXPECT_THROW(machine.handle(TimedOut{}), Error);
  const Action finish = driver.obey(driver.obey(evaluate));
  EXPECT_TRUE(std::holds_alternative<Finish>(finish));
  EXPECT_THROW(machine.handle(Committed{}), Error);
}

TEST(RoundMachineTest, MoreCommitsThanRoundsCannotBeRestored) {
  FakeDriver driver(small_config(2), {});
  ServerState state = small_model();
  state.position = 3;
  EXPECT_THROW(driver.machine().restore(state), ConfigError);
  state.position = 2;
  EXPECT_NO_THROW(driver.machine().restore(state));
  EXPECT_TRUE(std::holds_alternative<Finish>(driver.begin()));
}

TEST(RoundMachineTest, WrongUseIsFoundBeforeTheFirstRound) {
  ExperimentConfig config = small_config(1);
  config.strategy.name = "fedavgg";
  EXPECT_TRUE(
      contains(thrown_text<ConfigError>([&] { FakeDriver(config, {}); }), "did you mean 'fedavg'"));
  config = small_config(1);
  config.compress.prune.pruner = "magnitud";
  EXPECT_THROW(FakeDriver(config, {}), ConfigError);
  FakePopulation heavy;
  heavy.weights = {std::int64_t{1} << 57};
  EXPECT_THROW(FakeDriver(small_config(1), heavy), ConfigError);
}

TEST(RoundMachineTest, LearningRateFollowsTheScheduleOfItsTrack) {
  ExperimentConfig config = pruned_config(2);
  config.train.optimizer.lr = 0.5;
  config.train.schedule = {.kind = ScheduleKind::kExponential, .gamma = 0.1};
  FakeDriver driver(config, {});
  driver.run_all();
  std::vector<double> rates;
  for (const ClientTask& task : driver.tasks()) rates.push_back(task.plan.optimizer.lr);
  EXPECT_EQ(rates, (std::vector{0.5, 0.05, 0.5, 0.05}));
}

}  // namespace
}  // namespace coppice
