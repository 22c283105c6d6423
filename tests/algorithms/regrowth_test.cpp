#include "algorithms/regrowth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "tests/core/thrown.h"

namespace coppice {
namespace {

Mask mask_of(const std::vector<int>& keeps) {
  Mask mask(std::ssize(keeps), false);
  for (std::size_t i = 0; i < keeps.size(); ++i)
    mask.set(static_cast<std::int64_t>(i), keeps[i] != 0);
  return mask;
}

const Mask kMask = mask_of({1, 0, 1, 0, 1, 0, 1, 0});
const std::vector<float> kWeights = {0.5F, 0.0F, -2.0F, 0.0F, 0.1F, 0.0F, 1.0F, 0.0F};

TEST(RegrowthTest, AllocatorsThatRegrowAreKnownByName) {
  EXPECT_EQ(regrow_method("feddst")->rule, RegrowRule::kVotes);
  EXPECT_EQ(regrow_method("fedrts")->rule, RegrowRule::kPosterior);
  for (const char* name : {"none", "joint", "uniform", "magnitude"})
    EXPECT_FALSE(regrow_method(name)) << name;
}

TEST(RegrowthTest, ShareFallsOnHalfACosine) {
  EXPECT_DOUBLE_EQ(regrow_share(0.5, 0, 4), 0.5);
  EXPECT_DOUBLE_EQ(regrow_share(0.5, 1, 4), 0.25 * (1.0 + std::numbers::sqrt2 / 2.0));
  EXPECT_NEAR(regrow_share(0.5, 2, 4), 0.25, 1e-15);
  EXPECT_GT(regrow_share(0.5, 3, 4), 0.0);  // none moves nothing
  EXPECT_THROW(regrow_share(0.5, 4, 4), ConfigError);
  EXPECT_THROW(regrow_share(0.5, -1, 4), ConfigError);
}

TEST(RegrowthTest, NoMoreWeightsMoveThanThereAreAndThanThereIsRoomFor) {
  EXPECT_EQ(moved_weights(0.5, 10, 100), 5);
  EXPECT_EQ(moved_weights(0.25, 10, 100), 3);  // 2.5, away from zero
  EXPECT_EQ(moved_weights(0.5, 10, 12), 2);
  EXPECT_EQ(moved_weights(0.5, 10, 10), 0);
  EXPECT_EQ(moved_weights(1.0, 10, 100), 10);
  EXPECT_EQ(moved_weights(0.5, 0, 10), 0);
  EXPECT_THROW(moved_weights(0.5, 11, 10), ConfigError);
}

TEST(RegrowthTest, BallotIsForLargeWeightsInsideAndLargeGradientsOutside) {
  // The largest gradient of all is an active weight's: it counts for nothing.
  const std::vector<float> gradient = {9.0F, 0.3F, 0.0F, -0.4F, 0.0F, 0.1F, 0.0F, 0.2F};
  EXPECT_EQ(layer_ballot(kMask, kWeights, gradient, 2, 2),
            (std::vector<float>{0, 1, 1, 1, 0, 0, 1, 0}));
  EXPECT_EQ(layer_ballot(kMask, kWeights, gradient, 0, 0), std::vector<float>(8, 0.0F));
  EXPECT_EQ(layer_ballot(kMask, kWeights, gradient, 4, 4), std::vector<float>(8, 1.0F));
  const std::vector<float> flat(8, 1.0F);  // ties: the lower index
  EXPECT_EQ(layer_ballot(kMask, flat, flat, 1, 2), (std::vector<float>{1, 1, 0, 1, 0, 0, 0, 0}));
  EXPECT_THROW(layer_ballot(kMask, kWeights, gradient, 5, 0), ConfigError);
  EXPECT_THROW(layer_ballot(kMask, kWeights, gradient, 0, 5), ConfigError);
  EXPECT_THROW(layer_ballot(kMask, kWeights, std::span(gradient).first(7), 1, 1), ConfigError);
}

TEST(RegrowthTest, FewestVotesGoAndMostVotesCome) {
  const std::vector<std::int64_t> votes = {3, 5, 9, 1, 8, 4, 2, 6};
  EXPECT_EQ(exchange_by_votes(kMask, kWeights, votes, 2), mask_of({0, 1, 1, 0, 1, 0, 0, 1}));
  EXPECT_EQ(exchange_by_votes(kMask, kWeights, votes, 0), kMask);
  EXPECT_EQ(exchange_by_votes(kMask, kWeights, votes, 4), mask_of({0, 1, 0, 1, 0, 1, 0, 1}));
  EXPECT_THROW(exchange_by_votes(kMask, kWeights, votes, 5), ConfigError);
  EXPECT_THROW(exchange_by_votes(kMask, kWeights, votes, -1), ConfigError);
}

TEST(RegrowthTest, TiedVotesGoToTheLargerWeightThenTheLowerIndex) {
  const std::vector<std::int64_t> votes(8, 7);
  EXPECT_EQ(exchange_by_votes(kMask, kWeights, votes, 1), mask_of({1, 1, 1, 0, 0, 0, 1, 0}));
  EXPECT_EQ(exchange_by_votes(kMask, kWeights, votes, 2), mask_of({0, 1, 1, 1, 0, 0, 1, 0}));
}

// What grows is never a weight that was there (its value would be lost), and the layer keeps as
// many as before.
TEST(RegrowthTest, ExchangesMoveWhatTheySayAndNoMore) {
  RandomStream stream({.task = 3});
  for (int trial = 0; trial < 200; ++trial) {
    const auto size = static_cast<std::int64_t>(1 + stream.next_below(90));
    Mask mask(size, false);
    std::vector<float> weights(static_cast<std::size_t>(size), 0.0F);
    std::vector<std::int64_t> votes;
    for (std::int64_t i = 0; i < size; ++i) {
      mask.set(i, stream.next_below(3) == 0);
      if (mask.keeps(i))
        weights[static_cast<std::size_t>(i)] = static_cast<float>(stream.next_normal());
      votes.push_back(static_cast<std::int64_t>(stream.next_below(4)));
    }
    const std::vector<float> weights_before = weights;
    const std::vector<std::int64_t> votes_before = votes;
    const std::int64_t count = moved_weights(0.5, mask.kept(), size);
    const Mask moved = exchange_by_votes(mask, weights, votes, count);
    std::int64_t came = 0;
    for (std::int64_t i = 0; i < size; ++i) came += moved.keeps(i) && !mask.keeps(i) ? 1 : 0;
    EXPECT_EQ(came, count);
    EXPECT_EQ(moved.kept(), mask.kept());
    EXPECT_EQ(weights, weights_before);
    EXPECT_EQ(votes, votes_before);
  }
}

TEST(RegrowthTest, EvidenceMixesTheMeanModelsOutcomeWithTheBallots) {
  const Mask mask = mask_of({1, 1, 0, 0});
  const std::vector<float> weights = {2.0F, -1.0F, 0.0F, 0.0F};
  const std::vector<std::int64_t> votes = {8, 2, 4, 0};
  std::vector<float> alphas(4, 1.0F);
  std::vector<float> betas(4, 1.0F);
  join_evidence(mask, weights, votes, 8, 1, {.ballots = 0.25, .evidence = 10.0}, alphas, betas);
  // 0.75 x {1, 0, 1/2, 1/2} + 0.25 x {1, 1/4, 1/2, 0} = {1, 1/16, 1/2, 3/8}
  EXPECT_EQ(alphas, (std::vector<float>{11.0F, 1.625F, 6.0F, 4.75F}));
  EXPECT_EQ(betas, (std::vector<float>{1.0F, 10.375F, 6.0F, 7.25F}));
  join_evidence(mask, weights, votes, 8, 2, {.ballots = 0.0, .evidence = 1.0}, alphas, betas);
  EXPECT_EQ(alphas, (std::vector<float>{12.0F, 2.625F, 6.5F, 5.25F}));  // it adds up
  EXPECT_THROW(join_evidence(mask, weights, votes, 0, 1, {}, alphas, betas), ConfigError);
  EXPECT_THROW(join_evidence(mask, weights, votes, 8, 3, {}, alphas, betas), ConfigError);
  EXPECT_THROW(join_evidence(mask, weights, votes, 8, 1, {}, std::span(alphas).first(3), betas),
               ConfigError);
}

// Mean a / (a + b), variance a b / ((a + b)^2 (a + b + 1)).
TEST(RegrowthTest, BetaDrawsHaveTheMomentsOfTheDistribution) {
  const std::vector<std::pair<double, double>> shapes = {
      {1.0, 1.0}, {0.5, 0.5}, {2.0, 5.0}, {11.0, 1.0}, {40.0, 60.0}};
  for (const auto& [alpha, beta] : shapes) {
    RandomStream stream({.task = 5});
    constexpr int kDraws = 40'000;
    double sum = 0.0;
    double squares = 0.0;
    for (int i = 0; i < kDraws; ++i) {
      const double draw = next_beta(stream, alpha, beta);
      ASSERT_GE(draw, 0.0);
      ASSERT_LE(draw, 1.0);
      sum += draw;
      squares += draw * draw;
    }
    const double mean = alpha / (alpha + beta);
    const double variance = mean * (1.0 - mean) / (alpha + beta + 1.0);
    const double found = squares / kDraws - (sum / kDraws) * (sum / kDraws);
    EXPECT_NEAR(sum / kDraws, mean, 5.0 * std::sqrt(variance / kDraws)) << alpha << ' ' << beta;
    EXPECT_NEAR(found / variance, 1.0, 0.05) << alpha << ' ' << beta;
  }
}

TEST(RegrowthTest, DrawnMasksFollowTheirPosteriors) {
  const std::vector<float> alphas = {90.0F, 1.0F, 10.0F, 10.0F, 1.0F};
  const std::vector<float> betas = {1.0F, 90.0F, 10.0F, 10.0F, 90.0F};
  int third = 0;
  int fourth = 0;
  for (std::int64_t round = 0; round < 200; ++round) {
    RandomStream stream({.task = round});
    const Mask mask = drawn_mask(alphas, betas, 2, stream);
    RandomStream same({.task = round});
    EXPECT_EQ(drawn_mask(alphas, betas, 2, same), mask);
    EXPECT_EQ(mask.kept(), 2);
    EXPECT_TRUE(mask.keeps(0));
    third += mask.keeps(2) ? 1 : 0;
    fourth += mask.keeps(3) ? 1 : 0;
  }
  EXPECT_EQ(third + fourth, 200);  // equal posteriors share the place
  EXPECT_NEAR(third, 100, 35);     // 5 standard deviations
  RandomStream stream({.task = 0});
  EXPECT_EQ(drawn_mask(alphas, betas, 0, stream).kept(), 0);
  EXPECT_EQ(drawn_mask(alphas, betas, 5, stream).kept(), 5);
  EXPECT_THROW(drawn_mask(alphas, betas, 6, stream), ConfigError);
}

}  // namespace
}  // namespace coppice
