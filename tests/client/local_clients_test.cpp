#include "client/local_clients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "comm/codec.h"
#include "core/parameter_arena.h"
#include "tests/client/tiny_data.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

Graph network() {
  return Graph::build(numbers({kTinyFeatures}), {{"linear", "hidden", {}, {.out = 8}},
                                                 {"relu", "relu", {}, {}},
                                                 {"linear", "out", {}, {.out = kTinyClasses}}});
}

ClientTask task_for(std::vector<std::int64_t> cohort) {
  ClientTask task;
  task.track = "main";
  task.plan.optimizer.lr = 0.1;
  task.plan.batch_size = 4;
  task.max_weight = 100;
  task.update_grid = grid_for(6, task.max_weight);
  task.cohort = std::move(cohort);
  return task;
}

class LocalClientsTest : public testing::Test {
 protected:
  LocalClientsTest() { clients_.set_graph(graph_); }

  RankReport train(const ClientTask& task, const std::vector<std::int64_t>& which) {
    return clients_.run(task, {global_.values()}, which, 1000);
  }
  // Training sample 0 of `client` becomes NaN.
  void poison(std::int64_t client) {
    dataset_.train.float32s[static_cast<std::size_t>(10 * client * kTinyFeatures)] =
        std::numeric_limits<float>::quiet_NaN();
  }
  static const ExactSum& update_of(const RankReport& report) {
    return report.sums.begin()->second.at(kUpdateSum);
  }
  static void expect_same_sums(const RankReport& a, const RankReport& b) {
    EXPECT_TRUE(std::ranges::equal(update_of(a).units(), update_of(b).units()));
    EXPECT_EQ(update_of(a).weight(), update_of(b).weight());
  }

  Graph graph_ = network();
  ParameterArena global_ = initial_parameters(graph_, 1);
  Dataset dataset_ = tiny_dataset();
  Partition partition_ = tiny_partition();
  LocalClients clients_{dataset_, partition_, "libtorch", 7};
};

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
  first.merge(other.run(task, {global_.values()}, {{1, 4, 2}}, 1000));
  expect_same_sums(first, together);
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

TEST_F(LocalClientsTest, EveryCodecDeliversNearlyTheDenseUpdate) {
  const RankReport dense = train(task_for({0, 1}), {0, 1});
  std::vector<float> expected(static_cast<std::size_t>(graph_.parameter_count()));
  update_of(dense).mean(expected);
  for (const CodecInfo& info : known_codecs()) {
    ClientTask task = task_for({0, 1});
    task.codec = info.name;
    const RankReport report = train(task, {0, 1});
    expect_same_sums(report, train(task, {1, 0}));
    std::vector<float> mean(expected.size());
    update_of(report).mean(mean);
    for (std::size_t i = 0; i < mean.size(); ++i)
      EXPECT_NEAR(mean[i], expected[i], 0.01) << info.name;
  }
}

TEST_F(LocalClientsTest, BallotsAreSummedByWeight) {
  ClientTask task = task_for({0, 1, 2});
  const Coupling coupling = couple(graph_);
  std::vector<std::int64_t> counts;
  for (const CouplingGroup& group : coupling.groups)
    counts.push_back(group.is_prunable ? 3 : static_cast<std::int64_t>(group.units.size()));
  task.ballot = BallotRequest{.pruner = "magnitude", .keep_counts = counts, .grid = {1, 0}};
  poison(1);
  const RankReport report = train(task, {0, 1, 2});
  const ExactSum& ballots = report.sums.begin()->second.at(kBallotSum);
  EXPECT_EQ(ballots.weight(), 16);  // the poisoned client has no vote
  std::int64_t hidden = 0;
  for (const int g : coupling.prunable_groups()) {
    for (const int unit : coupling.groups[static_cast<std::size_t>(g)].units) {
      const std::int64_t votes = ballots.units()[static_cast<std::size_t>(unit)];
      EXPECT_EQ(votes % 8, 0);
      hidden += votes;
    }
  }
  EXPECT_EQ(hidden, 2 * 8 * 3);
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

}  // namespace
}  // namespace coppice
