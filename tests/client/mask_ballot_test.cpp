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

// Every other weight of `graph` is masked.
Mask half_mask(const Graph& graph) {
  Mask mask(graph.parameter_count());
  for (const ParameterSpec& spec : graph.parameters()) {
    if (!spec.name.ends_with(".weight")) continue;
    for (std::int64_t i = 0; i < spec.size(); i += 2) mask.set(spec.offset + i, false);
  }
  return mask;
}

class MaskBallotTest : public LocalClientsTest, public testing::WithParamInterface<const char*> {
 protected:
  MaskBallotTest() {
    mask_.apply(global_.values());
    voters_.set_graph(graph_);
    task_.plan.mask_rule = MaskRule::kKeepZero;
    task_.regrow = RegrowRequest{
        .layers = {{.parameter = "hidden.weight", .weights = 48, .kept = 20, .grown = 4},
                   {.parameter = "out.weight", .weights = 24, .kept = 7, .grown = 5}},
        .batches = 2,
        .half_batch = 2};
  }
  RankReport vote(const std::vector<std::int64_t>& which) {
    return voters_.run(task_, view(), in_turn(which), 1000);
  }
  ModelView view() const { return {.parameters = global_.values(), .mask = &mask_}; }
  static const ExactSum& ballots_of(const RankReport& report) {
    return report.sums.begin()->second.at(kMaskBallotSum);
  }

  Mask mask_ = half_mask(graph_);
  ClientTask task_ = task_for({0, 1, 2});
  LocalClients voters_{dataset_, partition_, GetParam(), 7};
};
INSTANTIATE_TEST_SUITE_P(Executors, MaskBallotTest, testing::Values("libtorch", "resident"));

TEST_P(MaskBallotTest, EveryClientVotesForAsManyAsTheLayerKeeps) {
  const RankReport report = vote({1});
  const ExactSum& votes = ballots_of(report);
  ASSERT_EQ(votes.size(), 48 + 24);
  EXPECT_EQ(votes.weight(), 8);
  std::int64_t begin = 0;
  for (const RegrowLayer& layer : task_.regrow->layers) {
    std::int64_t inside = 0;
    std::int64_t outside = 0;
    for (std::int64_t i = 0; i < layer.weights; ++i) {
      const std::int64_t vote = votes.units()[static_cast<std::size_t>(begin + i)];
      EXPECT_TRUE(vote == 0 || vote == 8);
      (i % 2 == 1 ? inside : outside) += vote / 8;
    }
    EXPECT_EQ(inside, layer.kept) << layer.parameter;
    EXPECT_EQ(outside, layer.grown) << layer.parameter;
    begin += layer.weights;
  }
}

TEST_P(MaskBallotTest, BallotsAreSummedByWeightWhoeverVotesWhereAndPoisonedClientsHaveNone) {
  poison(1);
  const RankReport together = vote({0, 1, 2});
  EXPECT_EQ(ballots_of(together).weight(), 16);
  RankReport apart = vote({2});
  apart.merge(vote({0}));
  EXPECT_TRUE(std::ranges::equal(ballots_of(together).units(), ballots_of(apart).units()));
}

// Neither the ballot nor what it takes to make it changes what the client sends as its update, and
// that has a place for kept weights alone.
TEST_P(MaskBallotTest, VotingDoesNotChangeTheUpdateWhichStaysInsideTheMask) {
  const RankReport voted = vote({0, 1, 2});
  task_.regrow.reset();
  const RankReport silent = vote({0, 1, 2});
  expect_same_sums(voted, silent);
  EXPECT_EQ(update_of(voted).size(), mask_.kept());
  EXPECT_EQ(silent.sums.begin()->second.count(kMaskBallotSum), 0U);
}

// What is counted as sent is the frame: one bit a weight and its header.
TEST_P(MaskBallotTest, BytesUpAreThoseOfTheEncodedBallot) {
  const std::int64_t voted = vote({0}).rows[0].bytes_up;
  task_.regrow.reset();
  EXPECT_EQ(voted - vote({0}).rows[0].bytes_up,
            std::ssize(encode_ballot(std::vector<float>(48 + 24, 1.0F))));
}

// The proximal term pulls at weights that moved, not at masked ones; a strong one must not show.
TEST_P(MaskBallotTest, GradientOfMaskedWeightsIsThatOfTheLossAlone) {
  std::vector<float> model(global_.values().begin(), global_.values().end());
  const Split split = tiny_split(64, 3);
  const SampleSource source{
      .size = split.size,
      .samples =
          [&](std::span<const std::int64_t> indices, std::span<float> out) {
            for (std::size_t i = 0; i < indices.size(); ++i)
              std::copy_n(split.float32s.begin() + indices[i] * kTinyFeatures, kTinyFeatures,
                          out.begin() + static_cast<std::ptrdiff_t>(i) * kTinyFeatures);
          },
      .labels =
          [&](std::span<const std::int64_t> indices, std::span<std::int32_t> out) {
            for (std::size_t i = 0; i < indices.size(); ++i)
              out[i] = split.labels[static_cast<std::size_t>(indices[i])];
          }};
  Executor& executor = voters_.executor();
  const std::vector<float> gradient =
      mean_gradient(executor, {.parameters = model, .mask = &mask_}, source, 1, 32, {.seed = 4});
  std::vector<std::int64_t> all(64);
  std::iota(all.begin(), all.end(), 0);
  const auto loss = [&] {
    return executor.evaluate({.parameters = model}, source, all).loss_sum / 64.0;
  };
  std::int64_t compared = 0;
  for (std::size_t i = 0; i < model.size(); ++i) {
    if (mask_.keeps(static_cast<std::int64_t>(i))) continue;
    model[i] = 0.01F;
    const double up = loss();
    model[i] = -0.01F;
    const double down = loss();
    model[i] = 0.0F;
    EXPECT_NEAR(gradient[i], (up - down) / 0.02, 2e-3) << i;
    compared += std::abs(gradient[i]) > 0.01F ? 1 : 0;
  }
  EXPECT_GT(compared, 10);
}

TEST_P(MaskBallotTest, RequestsThatDoNotFitTheModelAreRefused) {
  const auto refused = [&](const RegrowLayer& layer) {
    task_.regrow->layers = {layer};
    return thrown_text<ConfigError>([&] { vote({0}); });
  };
  EXPECT_TRUE(contains(refused({.parameter = "middle.weight"}), "no parameter 'middle.weight'"));
  EXPECT_TRUE(contains(refused({.parameter = "out.weight", .weights = 25}), "out.weight"));
  EXPECT_TRUE(contains(refused({.parameter = "out.weight", .weights = 24, .kept = 13}),
                       "keep 13 and grow 0 of 24 weights; there are 24, the mask keeps 12"));
  EXPECT_TRUE(
      contains(refused({.parameter = "out.weight", .weights = 24, .grown = 13}), "grow 13"));
  mask_ = Mask();
  task_.plan.mask_rule = MaskRule::kNone;
  EXPECT_TRUE(contains(refused({.parameter = "out.weight", .weights = 24}), "expected a mask"));
}

}  // namespace
}  // namespace coppice
