// How the round machine's tasks and rows follow from comm.*: levels, budgets, residuals, and models
// that are sent as changes; and that all of it survives a resume.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "comm/codecs/rotated.h"
#include "comm/messages.h"
#include "coordinator/downlink.h"
#include "coordinator/uplink.h"
#include "tests/coordinator/fake_population.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

ExperimentConfig config_with(std::string_view codec, std::int64_t rounds) {
  ExperimentConfig config = small_config(rounds);
  config.comm.codec = codec;
  return config;
}

ServerState stored_and_read_back(const ServerState& state) {
  return from_checkpoint(to_checkpoint(state, 1), state.position, state.norm_median);
}

// What each commit of a run would have written.
std::vector<ServerState> committed_states(const ExperimentConfig& config) {
  FakeDriver driver(config, {});
  std::vector<ServerState> out;
  for (Action action = driver.begin(); !std::holds_alternative<Finish>(action);
       action = driver.obey(action)) {
    if (!std::holds_alternative<CommitRound>(action)) continue;
    ServerState state = driver.state();
    ++state.position;
    out.push_back(stored_and_read_back(state));
  }
  return out;
}

// A run that is restored after every commit, against one that is not.
void expect_resumes(const ExperimentConfig& config) {
  FakeDriver whole(config, {});
  whole.run_all();
  for (const ServerState& committed : committed_states(config)) {
    if (committed.position == std::ssize(whole.records())) continue;  // there is nothing left to do
    FakeDriver resumed(config, {});
    resumed.machine().restore(committed);
    resumed.run(resumed.begin());
    EXPECT_EQ(resumed.state().parameters, whole.state().parameters) << committed.position;
    EXPECT_TRUE(resumed.state().transport == whole.state().transport) << committed.position;
    EXPECT_EQ(resumed.tasks().back(), whole.tasks().back()) << committed.position;
    EXPECT_EQ(resumed.records().back().bytes_down, whole.records().back().bytes_down)
        << committed.position;
  }
}

TEST(UplinkTest, DadaquantGivesLevelsByWeightAndDoublesThemWhenTheLossStalls) {
  ExperimentConfig config = config_with("dadaquant", 20);  // a window of two rounds
  config.comm.options.levels = 8;
  FakeDriver driver(config, {});
  driver.run_all();
  const FakePopulation population;
  for (const ClientTask& task : driver.tasks()) {
    ASSERT_EQ(task.client_options.size(), task.cohort.size());
    const std::vector<std::int64_t> expected =
        levels_by_weight(population.weights, static_cast<double>(task.codec_options.levels));
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(task.client_options[i].levels, expected[i]);
  }
  EXPECT_EQ(driver.tasks().front().codec_options.levels, 8);
  EXPECT_EQ(driver.tasks().back().codec_options.levels, 8);  // these losses fall, like 1 / round

  config.comm.options.levels = 2;
  FakePopulation refused;
  refused.poisoned = {0, 1, 2, 3, 4, 5};
  FakeDriver silent(config, refused);
  silent.run_all();
  EXPECT_EQ(silent.state().transport.levels, LevelSchedule());  // nobody said how the loss goes
}

TEST(UplinkTest, BudgetIsNeverExceededOverARunThatShrinks) {
  ExperimentConfig config = pruned_config(6);
  config.compress.control = false;
  const std::int64_t dense = small_model().graph.parameter_count();
  for (const std::int64_t budget :
       {rotated_frame_bytes(dense, 1), rotated_frame_bytes(dense, 3), std::int64_t{100'000}}) {
    config.comm.codec = budget == 100'000 ? "qsgd" : "rotated";
    config.comm.budget = budget;
    FakeDriver driver(config, {});
    driver.run_all();
    for (const ClientTask& task : driver.tasks()) {
      ASSERT_EQ(task.client_options.size(), task.cohort.size());
      std::int64_t sum = 0;
      for (const CodecOptions& options : task.client_options) sum += options.max_bytes;
      EXPECT_LE(sum, budget * std::ssize(task.cohort));
    }
  }
}

TEST(UplinkTest, BudgetThatNoUpdateKeepsToIsRefusedWithTheLeast) {
  ExperimentConfig config = config_with("rotated", 2);
  const std::int64_t least = rotated_frame_bytes(small_model().graph.parameter_count(), 1);
  config.comm.budget = least - 1;
  const std::string message = thrown_text<ConfigError>([&] { FakeDriver(config, {}); });
  EXPECT_TRUE(contains(message, "comm.budget") && contains(message, std::to_string(least)))
      << message;
}

TEST(UplinkTest, ResidualsThatWouldNotFitAreRefused) {
  CommConfig comm;
  comm.codec = "topk";
  comm.error_feedback = true;
  check_uplink(comm, 1000, 100'000);
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { check_uplink(comm, 1000, 1'000'000); }),
                       "comm.error_feedback"));
}

// What is left out of masked parameters goes, and of a smaller model's the rest moves along.
TEST(UplinkTest, ResidualsFollowTheMaskAndTheShape) {
  ServerState state = small_model();
  const std::int64_t size = state.graph.parameter_count();
  CommConfig comm;
  comm.codec = "topk";
  comm.error_feedback = true;
  ClientTask task;
  task.cohort = {1, 4};
  plan_uplink(comm, {}, state, task);
  EXPECT_EQ(task.residual_decay, 0.9);
  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  learn_uplink(task, 1.0, 10, {{4, 1, values}, {2, 1, values}, {1, 1, values}}, comm, state);
  ASSERT_EQ(state.transport.residuals.size(), 3U);
  EXPECT_EQ(state.transport.residuals[1].client, 2);
  EXPECT_EQ(residuals_for(task, state).size(), 2U);

  state.mask = Mask(size);
  state.mask.set(0, false);
  state.mask.set(5, false);
  std::vector<Residual> sent = residuals_for(task, state);
  ASSERT_EQ(std::ssize(sent[0].values), size - 2);
  EXPECT_EQ(sent[0].values[0], 2.0F);
  EXPECT_EQ(sent[0].values[4], 7.0F);
  sent[0].round = 2;
  learn_uplink(task, 1.0, 10, {sent[0]}, comm, state);
  EXPECT_EQ(state.transport.residuals[0].values[5], 0.0F);
  EXPECT_EQ(state.transport.residuals[0].values[6], 7.0F);
  EXPECT_EQ(state.transport.residuals[0].round, 2);

  shrink_transport(state.transport, IndexMap(size, {2, 6}));
  EXPECT_EQ(state.transport.residuals[0].values, (std::vector<float>{3, 7}));
  EXPECT_TRUE(stored_and_read_back(state).transport == state.transport);
}

class DownlinkTest : public testing::TestWithParam<std::string> {
 protected:
  static ExperimentConfig changes(ExperimentConfig config) {
    config.comm.downlink.codec = GetParam();
    config.comm.downlink.options = {.bits = 6, .fraction = 0.3};
    return config;
  }
};

TEST_P(DownlinkTest, RowsCountMissedChangesOrTheWholeModelWhicheverIsSmaller) {
  ExperimentConfig config = changes(small_config(12));
  config.train.clients_per_round = 2;
  FakeDriver driver(config, {});
  Action action = driver.begin();
  std::map<std::int64_t, std::size_t> has;  // frames that each client has
  int caught_up = 0;
  int whole_again = 0;
  while (!std::holds_alternative<Finish>(action)) {
    if (const auto* commit = std::get_if<CommitRound>(&action)) {
      const ServerState& state = driver.state();
      const std::vector<std::int64_t>& frames = state.transport.broadcast.delta_bytes;
      const auto whole = static_cast<std::int64_t>(
          encode_model({state.graph.to_json(), "", sent_model(state)}).size());
      for (const ClientRow& row : commit->record.rows) {
        std::int64_t expected = whole;
        if (has.contains(row.client)) {
          std::int64_t missed = 0;
          for (std::size_t i = has[row.client]; i < frames.size(); ++i) missed += frames[i];
          caught_up += missed < whole && frames.size() - has[row.client] > 1 ? 1 : 0;
          whole_again += missed > whole ? 1 : 0;
          expected = std::min(missed, whole);
        }
        EXPECT_EQ(row.bytes_down, expected);
        has[row.client] = frames.size();
      }
    }
    action = driver.obey(action);
  }
  EXPECT_GT(caught_up + whole_again, 0);
}

// Clients train from what was sent, which is not the coordinator's model, and stays near it.
TEST_P(DownlinkTest, WhatWasSentFollowsTheModel) {
  FakePopulation small;
  small.scale = 0.001;
  FakeDriver driver(changes(small_config(10)), small);
  driver.run(driver.begin(), 9);
  const ServerState& state = driver.state();
  const std::vector<float>& sent = sent_model(state);
  ASSERT_EQ(sent.size(), state.parameters.size());
  EXPECT_EQ(sent == state.parameters, GetParam() == "dense");
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_NEAR(sent[i], state.parameters[i], 0.02F);
}

TEST_P(DownlinkTest, ControlAndShrunkModelsAreSentWhole) {
  FakeDriver driver(changes(pruned_config(6)), {});
  Action action = driver.begin();
  std::int64_t parameters = 0;
  while (!std::holds_alternative<Finish>(action)) {
    const Broadcast& broadcast = driver.state().transport.broadcast;
    if (const auto* send = std::get_if<SendTask>(&action)) {
      EXPECT_EQ(driver.machine().sends_changes(), send->task.track == kMainTrack);
      EXPECT_EQ(sent_model(driver.state()).size(), driver.state().parameters.size());
      const bool is_new = parameters != driver.state().graph.parameter_count();
      parameters = driver.state().graph.parameter_count();
      if (send->task.track == kMainTrack && (is_new || send->task.round == 1)) {
        EXPECT_TRUE(broadcast.delta_bytes.empty());
      }
    }
    action = driver.obey(action);
  }
}

TEST_P(DownlinkTest, ResumesToTheSameModelAndBytes) {
  ExperimentConfig config = changes(pruned_config(5));
  config.compress.quantize.bits = 8;
  config.compress.quantize.start = 0.5;
  config.compress.control = false;
  config.train.clients_per_round = 3;
  config.comm.codec = "dadaquant";
  expect_resumes(config);
}

TEST_P(DownlinkTest, ArrivalOrderAndGroupingDoNotMatter) {
  const ExperimentConfig config = changes(pruned_config(4));
  FakeDriver one(config, {});
  one.run_all();
  for (std::int64_t deal = 0; deal < 3; ++deal) {
    FakeDriver many(config, {}, 3, deal);
    many.run_all();
    EXPECT_EQ(many.state().parameters, one.state().parameters);
    EXPECT_TRUE(many.state().transport == one.state().transport);
    EXPECT_EQ(many.records().back().bytes_down, one.records().back().bytes_down);
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, DownlinkTest,
                         testing::Values("rotated", "topk", "qsgd", "int8", "dense"),
                         [](const auto& test) { return test.param; });

TEST(TransportStateTest, CountsBeyondAFloatsDigitsAreReadBack) {
  ServerState state = small_model();
  Broadcast& broadcast = state.transport.broadcast;
  broadcast.model = {state.parameters, Mask(std::ssize(state.parameters))};
  broadcast.model.mask.set(2, false);
  broadcast.delta_bytes = {0, (std::int64_t{1} << 24) + 1, (std::int64_t{1} << 47) - 1};
  broadcast.held = {-1, 0, 3};
  EXPECT_TRUE(stored_and_read_back(state).transport == state.transport);
  EXPECT_TRUE(to_checkpoint(small_model(), 1).server_state.empty());
}

}  // namespace
}  // namespace coppice
