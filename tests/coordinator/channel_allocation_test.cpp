// Layers that become narrower by the allocator's choice: what is counted, what is taken, and that
// everything the server remembers goes along.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "coordinator/allocation.h"
#include "coordinator/pruning.h"
#include "coordinator/storage_costs.h"
#include "deploy/file_bytes.h"
#include "deploy/layout_choice.h"
#include "tests/coordinator/fake_population.h"
#include "tests/core/thrown.h"
#include "tests/deploy/made_up_table.h"

namespace coppice {
namespace {

constexpr std::int64_t kHidden = 32;

bool is_narrower(const WeightCandidate& candidate) { return candidate.channels < 1.0; }

class ChannelAllocationTest : public testing::Test {
 protected:
  ChannelAllocationTest() {
    config_.compress.allocate.allocator = "joint";
    config_.compress.allocate.densities = {1.0, 0.5};
    config_.compress.allocate.channel_shares = {0.75, 0.5};
    config_.compress.allocate.bits = {4, 8};
    config_.compress.constraints.max_latency_us = limit();
    config_.compress.latency_table = "made up";
    config_.compress.quantize.start = 0.7;
    config_.strategy.server_momentum = 0.5;
    population_.hidden = kHidden;
  }

  double limit() const { return table_.predict(lower_in_rows(in_integers(graph_))) / 2; }
  FakeDriver driver(std::int64_t sites = 1, std::int64_t deal = 0) const {
    return {config_, population_, sites, deal, {.latencies = &table_}};
  }
  // What single clients would answer to the request: a loss for each entry.
  static ExactSum table_of(const SenseRequest& request, const std::vector<float>& losses) {
    ExactSum sum(std::ssize(losses), request.grid, 10);
    EXPECT_TRUE(sum.add(losses, 1));
    return sum;
  }
  // Losses that grow with whatever goes, widths costing the most.
  static std::vector<float> losses_of(const SenseRequest& request) {
    std::vector<float> out;
    for (std::size_t p = 0; p < request.parameters.size(); ++p) {
      for (const WeightCandidate& one : request.candidates) {
        const double gone = 2.0 - one.density - one.block_density + 4.0 * (1.0 - one.channels);
        out.push_back(static_cast<float>(gone + 1.0 / one.bits));
      }
    }
    return out;
  }
  ServerState state() const {
    ServerState out = small_model(kHidden);
    out.strategy_state["momentum"] = out.parameters;
    out.strategy_state["count"] = {3.0F};
    out.averaged = out.parameters;
    out.transport.residuals = {{.client = 2, .round = 1, .values = out.parameters}};
    out.transport.broadcast.model.parameters = out.parameters;
    out.transport.broadcast.held = {0, 1};
    return out;
  }

  Graph graph_ = small_model(kHidden).graph;
  LatencyTable table_ = made_up_table(graph_, 1);
  ExperimentConfig config_ = small_config(10);
  FakePopulation population_;
};

TEST_F(ChannelAllocationTest, EveryWidthIsAskedForAndOnlyTheHiddenLayerHasAny) {
  const ServerState start = state();
  const SenseRequest request = sense_request(start, config_.compress, 10);
  EXPECT_EQ(request.candidates.size(), 3U * 2U * 2U);
  EXPECT_TRUE(std::ranges::none_of(std::span(request.candidates).first(4), is_narrower));
  const StorageCosts costs(start, request, nullptr);
  ASSERT_EQ(costs.candidates().size(), 2U);
  EXPECT_EQ(costs.candidates()[0], request.candidates);
  EXPECT_EQ(costs.candidates()[1].size(), 4U);
  EXPECT_TRUE(std::ranges::none_of(costs.candidates()[1], is_narrower));
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { costs.of(1, {.bits = 8, .channels = 0.5}); }),
                       "'out.weight' cannot keep 0.5 of its output channels"));
  // Each keeps the loss of its own entry of the table, wherever that is.
  std::vector<float> losses;
  for (std::size_t i = 0; i < 2 * request.candidates.size(); ++i)
    losses.push_back(static_cast<float>(i) / 4.0F);
  const std::vector<LayerCandidates> all = costs.all(table_of(request, losses));
  for (std::size_t t = 0; t < 2; ++t) {
    ASSERT_EQ(all[t].size(), costs.candidates()[t].size());
    for (std::size_t c = 0; c < all[t].size(); ++c) {
      EXPECT_EQ(all[t][c].loss, static_cast<double>(t * request.candidates.size() + c) / 4.0);
    }
  }
}

// The codes of the narrower layer are counted exactly; what else the shrink saves comes on top.
TEST_F(ChannelAllocationTest, ANarrowerLayersBytesAreThoseOfTheShrunkModel) {
  const ServerState start = state();
  SenseRequest request = sense_request(start, config_.compress, 10);
  const StorageCosts costs(start, request, &table_);
  for (const WeightCandidate& candidate : costs.candidates()[0]) {
    if (!is_narrower(candidate) || candidate.density < 1.0) continue;
    ServerState shrunk = start;
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(costs.widths().coupling().unit_count),
                                   1);
    costs.widths().remove("hidden.weight", candidate.channels, keep);
    remove_units(shrunk, costs.widths().coupling(), keep);
    Checkpoint finished = in_integers(shrunk.graph);
    finished.parameters = shrunk.parameters;
    finished.plan.weights =
        weight_grids(shrunk.graph, shrunk.parameters, std::vector<int>{candidate.bits, 8});
    const FileBytes bytes = file_bytes(finished, &table_);
    EXPECT_EQ(costs.of(0, candidate).bytes, bytes.weights[0].bytes);
    // By scale, bias and a column of the reader for each channel at least.
    const auto gone = static_cast<std::int64_t>((1.0 - candidate.channels) * kHidden);
    const std::int64_t counted =
        *costs.others().bytes + costs.of(0, candidate).bytes + costs.of(1, {.bits = 8}).bytes;
    EXPECT_GE(counted, bytes.file + 2 * gone);
    const double us = *costs.others().microseconds + costs.of(0, candidate).microseconds +
                      costs.of(1, {.bits = 8}).microseconds;
    EXPECT_GE(us, table_.predict(with_chosen_layouts(lower_in_rows(finished), &table_)));
    EXPECT_LT(costs.of(0, candidate).microseconds,
              costs.of(0, {.bits = candidate.bits}).microseconds);
  }
}

TEST_F(ChannelAllocationTest, AWidthIsChosenWhereOnlyItMeetsTheTime) {
  const ServerState start = state();
  const SenseRequest request = sense_request(start, config_.compress, 10, {.latencies = &table_});
  const ExactSum table = table_of(request, losses_of(request));
  const auto chosen = [&](std::optional<std::int64_t> bytes, std::optional<double> us) {
    ServerState taken = start;
    return allocate_weights(taken, *make_allocator("joint"), request, table,
                            {.budget = {.bytes = bytes, .microseconds = us}}, &table_);
  };
  const ModelAllotment all = chosen(1'000'000, 1e9);
  EXPECT_TRUE(all.fits);
  EXPECT_TRUE(std::ranges::none_of(all.candidates, is_narrower));
  // Fewer bytes alone: single weights are the cheaper way to them.
  const ModelAllotment small = chosen(all.file_bytes - 40, 1e9);
  EXPECT_TRUE(small.fits);
  EXPECT_TRUE(std::ranges::none_of(small.candidates, is_narrower));
  EXPECT_GE(*small.microseconds, *all.microseconds);
  // Both: no single weight makes anything faster.
  const ModelAllotment fast = chosen(all.file_bytes - 40, *all.microseconds - 2.0);
  EXPECT_TRUE(fast.fits);
  EXPECT_LT(fast.candidates[0].channels, 1.0);
  EXPECT_EQ(fast.candidates[1].channels, 1.0);
  EXPECT_EQ(fast.layers[0].candidate, fast.candidates[0]);
  EXPECT_LE(*fast.microseconds, *all.microseconds - 2.0);
}

// Layer by layer no choice is as fast as this, with the reader's inputs gone one is.
TEST_F(ChannelAllocationTest, WhatNarrowerLayersSaveTogetherIsUsed) {
  config_.compress.allocate.densities = {1.0, 0.1};
  config_.compress.allocate.channel_shares = {0.5};
  config_.compress.allocate.bits = {8};
  const ServerState start = state();
  const SenseRequest request = sense_request(start, config_.compress, 10, {.latencies = &table_});
  const StorageCosts costs(start, request, &table_);
  double counted = *costs.others().microseconds;
  for (std::size_t t = 0; t < 2; ++t) {
    double least = std::numeric_limits<double>::infinity();
    for (const WeightCandidate& one : costs.candidates()[t])
      least = std::min(least, costs.of(t, one).microseconds);
    counted += least;
  }
  const double narrow = table_.predict(lower_in_rows(in_integers(small_model(kHidden / 2).graph)));
  ASSERT_LT(narrow, counted);
  const auto chosen = [&](double most) {
    ServerState taken = start;
    return allocate_weights(taken, *make_allocator("joint"), request,
                            table_of(request, losses_of(request)),
                            {.budget = {.bytes = std::nullopt, .microseconds = most}}, &table_);
  };
  const double most = (narrow + counted) / 2.0;
  const ModelAllotment allotment = chosen(most);
  EXPECT_TRUE(allotment.fits);
  EXPECT_LE(*allotment.microseconds, most);
  EXPECT_EQ(allotment.candidates[0], (WeightCandidate{.bits = 8, .channels = 0.5}));
  EXPECT_EQ(allotment.candidates[1], (WeightCandidate{.bits = 8}));
  const ModelAllotment impossible = chosen(narrow / 4.0);
  EXPECT_FALSE(impossible.fits);
  EXPECT_EQ(impossible.candidates[0].channels, 0.5);
}

TEST_F(ChannelAllocationTest, WhatIsRememberedIsOfTheNarrowerModel) {
  const ServerState start = state();
  const SenseRequest request = sense_request(start, config_.compress, 10, {.latencies = &table_});
  ServerState taken = start;
  const ModelAllotment allotment = allocate_weights(
      taken, *make_allocator("joint"), request, table_of(request, losses_of(request)),
      {.budget = {.bytes = std::nullopt, .microseconds = 8.0}}, &table_);
  ASSERT_EQ(allotment.candidates[0].channels, 0.5);
  const std::int64_t count = taken.graph.parameter_count();
  EXPECT_EQ(count, small_model(kHidden / 2).graph.parameter_count());
  EXPECT_EQ(taken.graph.layers()[0].attributes.out, kHidden / 2);
  EXPECT_EQ(std::ssize(taken.parameters), count);
  EXPECT_EQ(taken.mask.size(), count);
  EXPECT_EQ(taken.weight_bits.size(), 2U);
  EXPECT_EQ(taken.mask_epoch, start.mask_epoch + 1);
  // What went along kept its places: everything here was equal to the parameters.
  std::vector<float> kept = taken.strategy_state.at("momentum");
  EXPECT_EQ(kept, taken.transport.residuals[0].values);
  EXPECT_EQ(kept, taken.averaged);
  taken.mask.apply(kept);
  EXPECT_EQ(kept, taken.parameters);
  EXPECT_EQ(taken.strategy_state.at("count"), std::vector<float>{3.0F});
  EXPECT_EQ(taken.transport.broadcast, Broadcast());  // the next model is sent whole
  // What is said of the whole model is what its file takes, but for where blocks end.
  const std::int64_t file = bytes_as_chosen(taken, config_.compress.quantize, &table_);
  EXPECT_NEAR(static_cast<double>(allotment.file_bytes), static_cast<double>(file), 8.0);
  Checkpoint finished = to_checkpoint(taken, 1);
  finished.plan = in_integers(taken.graph).plan;
  finished.plan.weights = weight_grids(taken.graph, taken.parameters, taken.weight_bits);
  EXPECT_NEAR(*allotment.microseconds,
              table_.predict(with_chosen_layouts(lower_in_rows(finished), &table_)), 1e-3);
}

TEST_F(ChannelAllocationTest, ALimitOnTimeIsMetByANetworkThatNeverGrows) {
  FakeDriver driven = driver();
  Action action = driven.begin();
  std::int64_t before = graph_.parameter_count();
  while (!std::holds_alternative<Finish>(action)) {
    if (std::holds_alternative<CommitRound>(action)) {
      EXPECT_LE(driven.state().graph.parameter_count(), before);
      before = driven.state().graph.parameter_count();
      EXPECT_EQ(std::ssize(driven.state().parameters), before);
    }
    action = driven.obey(action);
  }
  EXPECT_LT(before, graph_.parameter_count());
  EXPECT_EQ(driven.records().back().parameters, before);
  const Checkpoint finished = to_checkpoint(driven.state(), 10);
  EXPECT_LE(table_.predict(with_chosen_layouts(lower_in_rows(finished), &table_)), limit());
}

TEST_F(ChannelAllocationTest, GroupingOrderAndResumesDoNotMatter) {
  config_.comm.codec = "stc";
  config_.comm.error_feedback = true;
  FakeDriver one = driver();
  const ServerState expected = one.run_all();
  ASSERT_LT(expected.graph.parameter_count(), graph_.parameter_count());
  for (const std::int64_t sites : {2, 3}) {
    FakeDriver other = driver(sites, sites);
    EXPECT_EQ(other.run_all().parameters, expected.parameters);
    EXPECT_EQ(other.state().graph, expected.graph);
  }
  for (std::size_t rounds = 1; rounds < 10; ++rounds) {
    FakeDriver first = driver();
    first.run(first.begin(), rounds);
    const std::vector<std::uint8_t> bytes =
        to_bytes(to_checkpoint(first.state(), static_cast<std::int64_t>(rounds)));
    FakeDriver second = driver();
    second.machine().restore(from_checkpoint(checkpoint_from_bytes(bytes, "test"),
                                             static_cast<std::int64_t>(rounds),
                                             first.state().norm_median));
    EXPECT_EQ(second.run_all().parameters, expected.parameters) << rounds;
    EXPECT_EQ(second.state().plan, expected.plan) << rounds;
  }
}

// A choice that fails brings the channels back, also where the run was stopped in between.
TEST_F(ChannelAllocationTest, ChannelsOfAChoiceThatFailsComeBack) {
  config_ = small_config(14);
  config_.compress.control = true;
  config_.compress.latency_table = "made up";
  config_.compress.constraints.max_latency_us = limit();
  config_.compress.constraints.min_retention = 0.95;
  config_.compress.allocate.allocator = "joint";
  config_.compress.allocate.densities = {1.0, 0.5};
  config_.compress.allocate.channel_shares = {0.75, 0.5};
  config_.compress.allocate.bits = {8};
  config_.compress.allocate.start = 0.15;
  config_.compress.allocate.end = 0.72;
  config_.compress.gate.recovery_rounds = 2;
  config_.compress.quantize.start = 0.7;
  const std::int64_t dense = graph_.parameter_count();
  population_.lost = [dense](const ServerState& state) {
    return 5 * state.graph.parameter_count() < 4 * dense ? 100 : 0;
  };
  FakeDriver driven = driver();
  Action action = driven.begin();
  int failures = 0;
  while (!std::holds_alternative<Finish>(action)) {
    const auto* send = std::get_if<SendTask>(&action);
    if (send != nullptr && send->task.gate && driven.state().before_choice) {
      const KeptModel kept = *driven.state().before_choice;
      const ServerState stored = from_checkpoint(
          checkpoint_from_bytes(to_bytes(to_checkpoint(driven.state(), 1)), "test"), 1, 0.0);
      ASSERT_TRUE(stored.before_choice);
      EXPECT_EQ(stored.before_choice->graph, kept.graph);
      EXPECT_EQ(stored.before_choice->parameters, kept.parameters);
      const bool fails = population_.lost(driven.state()) > 0;
      action = driven.obey(action);
      if (!fails) continue;
      ++failures;
      EXPECT_EQ(driven.state().graph, kept.graph);
      EXPECT_EQ(driven.state().parameters, kept.parameters);
      EXPECT_EQ(driven.state().mask, kept.mask);
      continue;
    }
    action = driven.obey(action);
  }
  EXPECT_GT(failures, 0);
  EXPECT_LE(5 * driven.state().graph.parameter_count(), 5 * dense);
  EXPECT_GE(5 * driven.state().graph.parameter_count(), 4 * dense);
  EXPECT_GT(file_bytes(to_checkpoint(driven.state(), 14)).file, 0);
}

TEST_F(ChannelAllocationTest, WhatGivesNoWidthsIsNamedBeforeTheFirstRound) {
  const auto refusal = [&] { return thrown_text<ConfigError>([&] { driver(); }); };
  EXPECT_EQ(refusal(), "");
  config_.compress.constraints = {};
  config_.compress.constraints.max_bytes = 200;
  for (const char* name : {"uniform", "magnitude", "feddst"}) {
    config_.compress.allocate.allocator = name;
    EXPECT_TRUE(contains(refusal(), std::string("compress.allocate.channel_shares: allocator '") +
                                        name + "' gives layers no widths"))
        << name;
  }
  ServerState alone;
  alone.graph = Graph::build(numbers({3}), {{"linear", "out", {}, {.out = 2}}});
  config_.compress.allocate.allocator = "joint";
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] {
                         check_allocation(config_.compress, *make_allocator("joint"), alone.graph,
                                          {});
                       }),
                       "no layer of this network can lose channels by itself"));
}

}  // namespace
}  // namespace coppice
