#include "client/local_clients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "algorithms/pruner.h"
#include "algorithms/quantize.h"
#include "client/mask_ballot.h"
#include "comm/codec.h"
#include "comm/messages.h"
#include "core/parameter_arena.h"
#include "tests/client/local_clients_fixture.h"
#include "tests/client/tiny_data.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

TEST_F(LocalClientsTest, EveryClientGetsARowAndItsUpdateIsSummed) {
  const RankReport report = train(task_for({0, 1, 2}), {0, 1, 2});
  ASSERT_EQ(report.rows.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const ClientRow& row = report.rows[i];
    EXPECT_EQ(row.client, static_cast<std::int64_t>(i));
    EXPECT_EQ(row.weight, 8);  // training samples, not the validation's
    EXPECT_EQ(row.samples, 8);
    EXPECT_EQ(row.labels, 8);
    EXPECT_EQ(row.status, ClientStatus::kAccepted);
    EXPECT_GT(row.update_norm, 0.0);
    EXPECT_GT(row.loss, 0.0);
    EXPECT_EQ(row.bytes_down, 1000);
    EXPECT_GT(row.bytes_up, 4 * graph_.parameter_count());
  }
  EXPECT_EQ(update_of(report).weight(), 24);
}

TEST_F(LocalClientsTest, SumsDoNotDependOnWhoIsTrainedWhereOrWhen) {
  const ClientTask task = task_for({0, 1, 2, 3, 4});
  const RankReport together = train(task, {0, 1, 2, 3, 4});
  expect_same_sums(train(task, {4, 2, 0, 3, 1}), together);
  LocalClients other(dataset_, partition_, "libtorch", 7);
  other.set_graph(graph_);
  RankReport first = train(task, {3, 0});
  first.merge(other.run(task, {global_.values()}, in_turn({1, 4, 2}), 1000));
  expect_same_sums(first, together);
}

// Models so large that several wait to be added at once.
TEST_F(LocalClientsTest, LargeModelsMayWaitForOthers) {
  const Graph wide =
      Graph::build(numbers({kTinyFeatures}), {{"linear", "hidden", {}, {.out = 8192}},
                                              {"relu", "relu", {}, {}},
                                              {"linear", "out", {}, {.out = kTinyClasses}}});
  const ParameterArena global = initial_parameters(wide, 1);
  poison(1);
  std::vector<std::int64_t> cohort(partition_.clients.size());
  std::iota(cohort.begin(), cohort.end(), 0);
  const ClientTask task = task_for(cohort);
  for (const std::string executor : {"libtorch", "resident"}) {
    LocalClients clients(dataset_, partition_, executor, 7);
    clients.set_graph(wide);
    const RankReport together = clients.run(task, {global.values()}, in_turn(cohort), 1000);
    RankReport alone = clients.run(task, {global.values()}, in_turn({4}), 1000);
    for (const std::int64_t client : {2, 0, 1, 3})
      alone.merge(clients.run(task, {global.values()}, in_turn({client}), 1000));
    expect_same_sums(together, alone);
    EXPECT_EQ(update_of(together).weight(), 32);
    for (std::size_t i = 0; i < cohort.size(); ++i) {
      EXPECT_EQ(together.rows[i].client, cohort[i]);
      EXPECT_EQ(together.rows[i].status, i == 1 ? ClientStatus::kRefused : ClientStatus::kAccepted);
    }
  }
}

TEST_F(LocalClientsTest, UpdateOfOneClientIsItsLocalModelMinusTheGlobalOne) {
  const ClientTask task = task_for({2});
  const RankReport report = train(task, {2});
  const std::span<const float> local = clients_.executor().parameters();
  std::vector<float> mean(local.size());
  update_of(report).mean(mean);
  double squares = 0.0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(mean[i], local[i] - global_.values()[i], 1e-9F);
    squares += double{mean[i]} * double{mean[i]};
  }
  EXPECT_NEAR(report.rows[0].update_norm, std::sqrt(squares), 1e-6);
}

TEST_F(LocalClientsTest, PoisonedClientIsRefusedByNameAndTheSumIsThatOfTheOthers) {
  const RankReport clean = train(task_for({0, 1, 3, 4}), {0, 1, 3, 4});
  poison(2);
  const RankReport report = train(task_for({0, 1, 2, 3, 4}), {0, 1, 2, 3, 4});
  expect_same_sums(report, clean);
  EXPECT_EQ(report.rows[2].client, 2);
  EXPECT_EQ(report.rows[2].status, ClientStatus::kRefused);
  EXPECT_EQ(report.rows[2].reason, RefusalReason::kNotFinite);
  EXPECT_LT(report.rows[2].bytes_up, 4 * graph_.parameter_count());  // no update travelled
  for (const std::size_t i : {0U, 1U, 3U, 4U})
    EXPECT_EQ(report.rows[i].status, ClientStatus::kAccepted);
}

TEST_F(LocalClientsTest, UpdateOutsideTheGridIsRefused) {
  ClientTask task = task_for({0, 1});
  const double largest = train(task, {0}).rows[0].update_norm;
  task.update_grid = {0, 36};  // below 1
  task.plan.optimizer.lr = 0.1 * 40.0 / largest;
  const RankReport report = train(task, {0, 1});
  EXPECT_EQ(report.rows[0].reason, RefusalReason::kOutOfRange);
  EXPECT_EQ(update_of(report).weight(), report.rows[1].status == ClientStatus::kAccepted ? 8 : 0);
}

TEST_F(LocalClientsTest, UpdateAboveTheNormBoundIsRefused) {
  ClientTask task = task_for({0, 1});
  const RankReport free = train(task, {0, 1});
  const double smaller = std::min(free.rows[0].update_norm, free.rows[1].update_norm);
  const double larger = std::max(free.rows[0].update_norm, free.rows[1].update_norm);
  task.norm_bound = (smaller + larger) / 2.0;
  const RankReport report = train(task, {0, 1});
  EXPECT_EQ(update_of(report).weight(), 8);
  for (const ClientRow& row : report.rows) {
    const bool is_above = row.update_norm > task.norm_bound;
    EXPECT_EQ(row.reason, is_above ? RefusalReason::kNormAboveBound : RefusalReason::kNone);
  }
}

TEST_F(LocalClientsTest, EveryCodecDeliversTheSameInAnyOrderAndUnbiasedOnesNearlyTheDenseUpdate) {
  const RankReport dense = train(task_for({0, 1}), {0, 1});
  std::vector<float> expected(static_cast<std::size_t>(graph_.parameter_count()));
  update_of(dense).mean(expected);
  for (const CodecInfo& info : known_codecs()) {
    ClientTask task = task_for({0, 1});
    task.codec = info.name;
    const RankReport report = train(task, {0, 1});
    expect_same_sums(report, train(task, {1, 0}));
    if (!make_codec(info.name)->is_unbiased()) continue;  // topk leaves most of it out
    std::vector<float> mean(expected.size());
    update_of(report).mean(mean);
    for (std::size_t i = 0; i < mean.size(); ++i)
      EXPECT_NEAR(mean[i], expected[i], 0.01) << info.name;
  }
}

// Wherever a client was trained before, it goes on from what it left out, which fades with every
// round that it missed.
TEST_F(LocalClientsTest, ResidualsTravelWithTheClientAndFade) {
  ClientTask task = task_for({0, 1, 2});
  task.codec = "topk";
  task.residual_decay = 0.5;
  const RankReport first = train(task, {0, 1, 2});
  ASSERT_EQ(first.residuals.size(), 3U);
  EXPECT_EQ(first.residuals[1].client, 1);
  EXPECT_EQ(first.residuals[1].round, 1);
  task.round = 2;
  clients_.set_residuals(first.residuals);
  const RankReport together = train(task, {2, 0, 1});
  LocalClients other(dataset_, partition_, "libtorch", 7);
  other.set_graph(graph_);
  other.set_residuals({first.residuals[2]});
  RankReport apart = other.run(task, {global_.values()}, in_turn({2}), 1000);
  clients_.set_residuals({first.residuals[0], first.residuals[1]});
  apart.merge(train(task, {0, 1}));
  expect_same_sums(apart, together);
  EXPECT_EQ(apart.residuals[0], together.residuals[0]);

  // A residual of ones that is 2^-30 by now changes nothing that a float sees.
  task.round = 32;
  clients_.set_residuals({});
  const RankReport fresh = train(task, {0});
  Residual old{.client = 0,
               .round = 1,
               .values = std::vector<float>(first.residuals[0].values.size(), 1e-3F)};
  clients_.set_residuals({old});
  const RankReport late = train(task, {0});
  old.round = 31;
  clients_.set_residuals({old});
  const RankReport next = train(task, {0});
  double faded = 0.0;
  double whole = 0.0;
  for (std::size_t i = 0; i < old.values.size(); ++i) {
    faded += std::abs(late.residuals[0].values[i] - fresh.residuals[0].values[i]);
    whole += std::abs(next.residuals[0].values[i] - fresh.residuals[0].values[i]);
  }
  EXPECT_LT(faded, 1e-6);
  EXPECT_GT(whole, 0.5 * 1e-3 * static_cast<double>(old.values.size()));

  Residual short_one = first.residuals[0];
  short_one.values.pop_back();
  clients_.set_residuals({short_one});
  EXPECT_TRUE(contains(thrown_text<Error>([&] { train(task, {0}); }), "residual of client 0"));
}

TEST_F(LocalClientsTest, ARefusedClientReportsNoResidual) {
  poison(1);
  ClientTask task = task_for({0, 1});
  task.codec = "stc";
  task.residual_decay = 1.0;
  const RankReport report = train(task, {0, 1});
  ASSERT_EQ(report.residuals.size(), 1U);
  EXPECT_EQ(report.residuals[0].client, 0);
}

TEST_F(LocalClientsTest, BallotsAreSummedByWeight) {
  const Coupling coupling = couple(graph_);
  std::vector<std::int64_t> counts;
  for (const CouplingGroup& group : coupling.groups)
    counts.push_back(group.is_prunable ? 3 : static_cast<std::int64_t>(group.units.size()));
  const RankReport without = train(task_for({0, 2}), {0, 2});
  poison(1);
  for (const PrunerInfo& info : known_pruners()) {
    ClientTask task = task_for({0, 1, 2});
    task.ballot =
        BallotRequest{.pruner = std::string(info.name), .keep_counts = counts, .grid = {1, 0}};
    const RankReport report = train(task, {0, 1, 2});
    expect_same_sums(report, train(task, {2, 1, 0}));
    const NamedSums& sums = report.sums.begin()->second;
    const ExactSum& ballots = sums.at(kBallotSum);
    EXPECT_EQ(ballots.weight(), 16) << info.name;  // the poisoned client has no vote
    std::int64_t hidden = 0;
    for (const int g : coupling.prunable_groups()) {
      for (const int unit : coupling.groups[static_cast<std::size_t>(g)].units) {
        const std::int64_t votes = ballots.units()[static_cast<std::size_t>(unit)];
        EXPECT_EQ(votes % 8, 0) << info.name;
        hidden += votes;
      }
    }
    EXPECT_EQ(hidden, 2 * 8 * 3) << info.name;
    // Looking at gradients leaves the update as it was.
    EXPECT_TRUE(std::ranges::equal(update_of(report).units(), update_of(without).units()))
        << info.name;
  }
}

TEST_F(LocalClientsTest, TaskThatCannotBeRunIsNoClientsFault) {
  ClientTask task = task_for({0});
  task.codec = "zip";
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { train(task, {0}); }), "'zip'"));
  task = task_for({0});
  task.ballot = BallotRequest{.pruner = "luck", .keep_counts = {}, .grid = {1, 0}};
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { train(task, {0}); }), "'luck'"));
}

TEST_F(LocalClientsTest, ExecutorIsRebuiltOnlyForAnotherGraph) {
  const Executor* before = &clients_.executor();
  clients_.set_graph(network());
  EXPECT_EQ(&clients_.executor(), before);
  const Coupling coupling = couple(graph_);
  std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
  keep[static_cast<std::size_t>(
      coupling.groups[static_cast<std::size_t>(coupling.prunable_groups()[0])].units[0])] = 0;
  clients_.set_graph(shrink(graph_, coupling, keep).graph);
  EXPECT_LT(clients_.executor().graph().parameter_count(), graph_.parameter_count());
}

ClientTask calibration_task(std::vector<std::int64_t> cohort) {
  ClientTask task = task_for(std::move(cohort));
  task.calibration = CalibrationRequest{.nodes = {"input", "relu"}, .samples = 4, .grid = {25, 0}};
  task.max_weight = 5;
  return task;
}

std::int64_t counted(const ExactSum& sum, std::size_t node) {
  const auto units = sum.units().subspan(node * kHistogramBins, kHistogramBins);
  return std::accumulate(units.begin(), units.end(), std::int64_t{0});
}

TEST_F(LocalClientsTest, CalibrationCountsEveryOutputOfTheNodesOfItsSamples) {
  const RankReport report = train(calibration_task({0, 3}), {0, 3});
  const NamedSums& sums = report.sums.begin()->second;
  ASSERT_EQ(sums.size(), 1U);
  const ExactSum& histograms = sums.at(kHistogramSum);
  EXPECT_EQ(counted(histograms, 0), 2 * 4 * kTinyFeatures);
  EXPECT_EQ(counted(histograms, 1), 2 * 4 * 8);
  EXPECT_EQ(histograms.weight(), 2);
  ASSERT_EQ(report.rows.size(), 2U);
  EXPECT_EQ(report.rows[0].status, ClientStatus::kAccepted);
  EXPECT_EQ(report.rows[0].samples, 0);
  EXPECT_GT(report.rows[0].bytes_up, 0);
  EXPECT_EQ(report.rows[0].bytes_down, 1000);
}

TEST_F(LocalClientsTest, CountsOfHalvesAddUpToTheWhole) {
  const ClientTask task = calibration_task({0, 1, 2, 3});
  RankReport halves = train(task, {2, 0});
  halves.merge(train(task, {1, 3}));
  const RankReport whole = train(task, {0, 1, 2, 3});
  EXPECT_TRUE(std::ranges::equal(halves.sums.begin()->second.at(kHistogramSum).units(),
                                 whole.sums.begin()->second.at(kHistogramSum).units()));
}

TEST_F(LocalClientsTest, ClientWhoseOutputsAreNotFiniteIsLeftOutOfTheCount) {
  ClientTask task = calibration_task({0, 1});
  task.calibration->samples = 10;  // all it has
  poison(1);
  const RankReport report = train(task, {0, 1});
  EXPECT_EQ(report.rows[1].status, ClientStatus::kRefused);
  EXPECT_EQ(report.rows[1].reason, RefusalReason::kNotFinite);
  const RankReport alone = train(task, {0});
  EXPECT_TRUE(std::ranges::equal(report.sums.begin()->second.at(kHistogramSum).units(),
                                 alone.sums.begin()->second.at(kHistogramSum).units()));
}

TEST_F(LocalClientsTest, TeacherPullsTheModelTowardsItself) {
  const Graph wide =
      Graph::build(numbers({kTinyFeatures}), {{"linear", "hidden", {}, {.out = 16}},
                                              {"relu", "relu", {}, {}},
                                              {"linear", "out", {}, {.out = kTinyClasses}}});
  const ParameterArena teacher = initial_parameters(wide, 9);
  const std::vector<float> parameters(teacher.values().begin(), teacher.values().end());
  ClientTask task = task_for({0});
  task.plan.epochs = 30;
  task.plan.loss_terms = {{.kind = LossKind::kDistillation, .weight = 1.0, .temperature = 2.0}};
  EXPECT_TRUE(contains(thrown_text<Error>([&] { train(task, {0}); }), "before its teacher"));
  clients_.set_teacher(wide, parameters);
  const RankReport distilled = train(task, {0});
  std::vector<float> student(global_.values().begin(), global_.values().end());
  std::vector<float> step(student.size());
  update_of(distilled).mean(step);
  for (std::size_t i = 0; i < student.size(); ++i) student[i] += step[i];

  const std::vector<std::int64_t>& owned = partition_.clients[0].train;
  std::vector<float> samples(owned.size() * kTinyFeatures);
  gather_samples(dataset_, dataset_.train, owned, samples);
  const auto wanted = make_executor("libtorch", wide)->infer({parameters}, samples);
  const auto distance = [&](std::span<const float> model) {
    const auto logits = make_executor("libtorch", graph_)->infer({model}, samples);
    double sum = 0.0;
    for (std::size_t i = 0; i < logits.size(); ++i)
      sum += std::pow(double{logits[i]} - double{wanted[i]}, 2.0);
    return sum;
  };
  EXPECT_LT(distance(student), 0.5 * distance(global_.values()));
  // What it said before is remembered, and changes nothing.
  expect_same_sums(distilled, train(task, {0}));
  clients_.set_teacher(wide, parameters);
  expect_same_sums(distilled, train(task, {0}));
}

TEST_F(LocalClientsTest, QuantizedTaskTrainsOnTheGrids) {
  QuantPlan plan;
  plan.weights = weight_grids(graph_, global_.values(), 4);
  plan.activations = {{"input", 0.02F, 128}, {"relu", 0.02F, 0}};
  const ClientTask task = task_for({0, 1});
  const RankReport plain = train(task, {0, 1});
  const RankReport quantized = clients_.run(task, {global_.values(), &plan}, in_turn({0, 1}), 1000);
  EXPECT_FALSE(std::ranges::equal(update_of(plain).units(), update_of(quantized).units()));
  expect_same_sums(quantized, clients_.run(task, {global_.values(), &plan}, in_turn({0, 1}), 1000));
}

}  // namespace
}  // namespace coppice
