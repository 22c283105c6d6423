#include "coordinator/layer_allotment.h"

#include <gtest/gtest.h>

#include <array>

namespace coppice {
namespace {

// Two layers with three ways each: the more bytes, the less loss; the third is quick but no better.
class LayerAllotmentTest : public testing::Test {
 protected:
  std::vector<LayerAllotment> explained(const Budget& budget, std::array<std::size_t, 2> ways) {
    problem_.budget = budget;
    Allotment allotment;
    std::vector<Candidate> chosen;
    for (std::size_t t = 0; t < 2; ++t) {
      allotment.candidates.push_back(candidates_[ways[t]]);
      chosen.push_back(costs_[t][ways[t]]);
    }
    return explain(problem_, allotment, chosen, true);
  }

  const std::vector<float> weights_ = {1.0F, 2.0F};
  const std::vector<AllocatedTensor> tensors_ = {{.name = "a", .weights = weights_},
                                                 {.name = "b", .weights = weights_}};
  const std::vector<WeightCandidate> candidates_ = {
      {.bits = 8}, {.density = 0.5, .bits = 4}, {.block_density = 0.5, .bits = 4}};
  const std::vector<std::vector<WeightCandidate>> of_each_{2, candidates_};
  const std::vector<LayerCandidates> costs_ = {{{.loss = 0.0, .bytes = 100, .microseconds = 9.0},
                                                {.loss = 1.0, .bytes = 40, .microseconds = 9.0},
                                                {.loss = 2.0, .bytes = 40, .microseconds = 3.0}},
                                               {{.loss = 0.0, .bytes = 10, .microseconds = 1.0},
                                                {.loss = 1.0, .bytes = 4, .microseconds = 1.0},
                                                {.loss = 2.0, .bytes = 4, .microseconds = 0.5}}};
  AllocationProblem problem_{.tensors = tensors_,
                             .candidates = of_each_,
                             .costs = costs_,
                             .budget = {},
                             .bytes = [](std::size_t, const WeightCandidate&) { return 0; }};
};

TEST_F(LayerAllotmentTest, SaysWhatEachLayerTakes) {
  const std::vector<LayerAllotment> layers = explained({.bytes = 200}, {0, 1});
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[1].parameter, "b");
  EXPECT_EQ(layers[1].candidate, candidates_[1]);
  EXPECT_EQ(layers[1].bytes, 4);
  EXPECT_EQ(layers[1].microseconds, 1.0);
  EXPECT_EQ(layers[1].predicted_loss, 1.0);
}

TEST_F(LayerAllotmentTest, ALimitBindsWhereABetterWayDoesNotFitWhatIsLeft) {
  // 45 bytes: neither layer's better way fits. 60 bytes: b's would, a's not.
  std::vector<LayerAllotment> layers = explained({.bytes = 45}, {1, 1});
  EXPECT_TRUE(layers[0].is_bound_by_bytes && layers[1].is_bound_by_bytes);
  layers = explained({.bytes = 60}, {1, 1});
  EXPECT_TRUE(layers[0].is_bound_by_bytes);
  EXPECT_FALSE(layers[1].is_bound_by_bytes);
  // Time alone: what is dense takes too long.
  layers = explained({.microseconds = 4.0}, {2, 1});
  EXPECT_FALSE(layers[0].is_bound_by_bytes);
  EXPECT_TRUE(layers[0].is_bound_by_microseconds);
  // The best way is bound by nothing, whatever the budget.
  layers = explained({.bytes = 104, .microseconds = 10.0}, {0, 1});
  EXPECT_FALSE(layers[0].is_bound_by_bytes || layers[0].is_bound_by_microseconds);
  EXPECT_TRUE(layers[1].is_bound_by_bytes);
  EXPECT_FALSE(layers[1].is_bound_by_microseconds);
}

TEST_F(LayerAllotmentTest, ADensityOffTheGridHasNoPrediction) {
  problem_.budget = {.bytes = 50};
  Allotment allotment;
  allotment.candidates = {{.density = 0.37, .bits = 4}, candidates_[0]};
  const std::vector<Candidate> chosen = {{.bytes = 30}, costs_[1][0]};
  const std::vector<LayerAllotment> layers = explain(problem_, allotment, chosen, false);
  EXPECT_FALSE(layers[0].predicted_loss || layers[0].microseconds);
  EXPECT_TRUE(layers[0].is_bound_by_bytes);
  EXPECT_FALSE(layers[1].is_bound_by_bytes);
}

}  // namespace
}  // namespace coppice
