#include "models/libtorch/forward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "tests/models/input_specs.h"
#include "tests/models/libtorch/double_graph.h"

namespace coppice::libtorch {
namespace {

void expect_values(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 1e-9) << "element " << i;
}

std::vector<double> run_one(Shape input, const char* op, const Attributes& attributes,
                            const std::vector<double>& sample) {
  return DoubleGraph(numbers(std::move(input)), {{op, "node", {}, attributes}}).run_one(sample);
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

TEST(ForwardTest, ElementwiseOperationsHaveTheirTextbookValues) {
  expect_values(run_one({3}, "normalize", {.mean = 0.5, .deviation = 0.25}, {0.0, 0.5, 1.0}),
                {-2.0, 0.0, 2.0});
  expect_values(run_one({3}, "relu", {}, {-1.0, 0.0, 2.0}), {0.0, 0.0, 2.0});
  expect_values(run_one({3}, "relu6", {}, {-1.0, 3.0, 9.0}), {0.0, 3.0, 6.0});
  expect_values(run_one({2}, "leaky_relu", {.slope = 0.1}, {-2.0, 2.0}), {-0.2, 2.0});
  expect_values(run_one({2}, "sigmoid", {}, {0.0, std::log(3.0)}), {0.5, 0.75});
  expect_values(run_one({2}, "tanh", {}, {0.0, std::atanh(0.5)}), {0.0, 0.5});
  // x * Phi(x), not the tanh approximation (which gives 0.841192).
  expect_values(run_one({2}, "gelu", {}, {1.0, -2.0}),
                {0.5 * (1.0 + std::erf(std::sqrt(0.5))), -1.0 * (1.0 - std::erf(std::sqrt(2.0)))});
}

TEST(ForwardTest, Conv2dIsACrossCorrelationWithBias) {
  DoubleGraph graph(numbers({1, 2, 3}), {{"conv2d", "conv", {}, {.out = 1, .kernel = {2, 2}}}});
  graph.set("conv.weight", {1.0, 2.0, 3.0, 4.0});
  graph.set("conv.bias", {0.5});
  expect_values(graph.run_one({1, 2, 3, 4, 5, 6}), {1 + 4 + 12 + 20 + 0.5, 2 + 6 + 15 + 24 + 0.5});
}

TEST(ForwardTest, PoolsStepByTheirKernelAndDropTheRest) {
  const std::vector<double> image = {1, 2, 9, 3, 4, 9, 9, 9, 9};
  expect_values(run_one({1, 3, 3}, "max_pool2d", {.kernel = {2, 2}}, image), {4.0});
  expect_values(run_one({1, 3, 3}, "avg_pool2d", {.kernel = {2, 2}}, image), {2.5});
  expect_values(run_one({1, 3, 3}, "global_avg_pool", {}, image), {55.0 / 9.0});
}

TEST(ForwardTest, AveragePoolCountsPadding) {
  expect_values(run_one({1, 1, 1}, "avg_pool2d", {.kernel = {2, 2}, .padding = {1, 1}}, {8.0}),
                {2.0});
}

TEST(ForwardTest, GroupNormNormalizesGroupsOfItsSize) {
  DoubleGraph graph(numbers({4, 1, 1}),
                    {{"group_norm", "norm", {}, {.group_size = 2, .epsilon = 1e-12}}});
  graph.set("norm.weight", {1, 1, 1, 2});
  graph.set("norm.bias", {0, 0, 0, 5});
  expect_values(graph.run_one({1, 3, 10, 30}), {-1, 1, -1, 7});
}

TEST(ForwardTest, BatchNormUsesItsFrozenStatisticsAlsoInTraining) {
  DoubleGraph graph(numbers({1, 1, 2}), {{"batch_norm", "norm", {}, {.epsilon = 1e-12}}});
  graph.set("norm.weight", {3});
  graph.set("norm.bias", {1});
  graph.set("norm.running_mean", {2});
  graph.set("norm.running_var", {4});
  expect_values(graph.run_one({2, 6}), {1, 7});
  const DropoutKey training;
  EXPECT_NEAR(graph.run(at::tensor({2.0, 6.0}, at::kDouble).reshape({1, 1, 1, 2}), &training)
                  .sum()
                  .item<double>(),
              8.0, 1e-9);
  EXPECT_EQ(graph.parameters[2].item<double>(), 2.0);
}

TEST(ForwardTest, LayerNormWorksOnTheLastAxis) {
  DoubleGraph graph(numbers({2, 2}), {{"layer_norm", "norm", {}, {.epsilon = 1e-12}}});
  graph.set("norm.weight", {1, 2});
  graph.set("norm.bias", {0, 1});
  expect_values(graph.run_one({1, 3, 7, 5}), {-1, 3, 1, -1});
}

TEST(ForwardTest, JoinsKeepTheirOrder) {
  const std::vector<LayerSpec> halves = {{"slice", "a", {"input"}, {.length = 2}},
                                         {"slice", "b", {"input"}, {.begin = 2, .length = 2}}};
  auto layers = halves;
  layers.push_back({"concat", "out", {"b", "a"}, {}});
  expect_values(DoubleGraph(numbers({4}), layers).run_one({1, 2, 3, 4}), {3, 4, 1, 2});
  layers.back() = {"add", "out", {"a", "b", "a"}, {}};
  expect_values(DoubleGraph(numbers({4}), layers).run_one({1, 2, 3, 4}), {5, 8});
  layers.back() = {"dot_interaction", "out", {"a", "b"}, {}};
  expect_values(DoubleGraph(numbers({4}), layers).run_one({1, 2, 3, 4}), {11});
}

TEST(ForwardTest, DotInteractionListsPairsByFirstThenSecond) {
  std::vector<LayerSpec> layers;
  for (std::int64_t i = 0; i < 3; ++i) {
    layers.push_back({"slice",
                      std::string(1, static_cast<char>('a' + i)),
                      {"input"},
                      {.begin = i, .length = 1}});
  }
  layers.push_back({"dot_interaction", "out", {"a", "b", "c"}, {}});
  expect_values(DoubleGraph(numbers({3}), layers).run_one({2, 3, 5}), {6, 10, 15});
}

TEST(ForwardTest, FlattenIsChannelByChannelAndChannelScaleScalesChannels) {
  const std::vector<LayerSpec> layers = {{"global_avg_pool", "means", {"input"}, {}},
                                         {"channel_scale", "scaled", {"input", "means"}, {}},
                                         {"flatten", "flat", {}, {}}};
  expect_values(DoubleGraph(numbers({2, 1, 2}), layers).run_one({1, 3, 10, 30}), {2, 6, 200, 600});
}

TEST(ForwardTest, LstmStepFollowsItsGateOrder) {
  DoubleGraph graph(numbers({2, 1}), {{"lstm", "lstm", {}, {.hidden = 1}}});
  graph.set("lstm.weight_ih", {0.1, 0.2, 0.3, 0.4});
  graph.set("lstm.weight_hh", {0.5, 0.6, 0.7, 0.8});
  graph.set("lstm.bias_ih", {0.01, 0.02, 0.03, 0.04});
  graph.set("lstm.bias_hh", {0.05, 0.06, 0.07, 0.08});
  double h = 0.0, c = 0.0;
  std::vector<double> expected;
  for (const double x : {1.0, -2.0}) {
    const double i = sigmoid(0.1 * x + 0.5 * h + 0.06), f = sigmoid(0.2 * x + 0.6 * h + 0.08);
    const double g = std::tanh(0.3 * x + 0.7 * h + 0.10), o = sigmoid(0.4 * x + 0.8 * h + 0.12);
    c = f * c + i * g;
    h = o * std::tanh(c);
    expected.push_back(h);
  }
  expect_values(graph.run_one({1.0, -2.0}), expected);
}

TEST(ForwardTest, GruStepAppliesTheResetGateAfterTheProduct) {
  DoubleGraph graph(numbers({2, 1}),
                    {{"gru", "gru", {}, {.hidden = 1}}, {"last_step", "last", {}, {}}});
  graph.set("gru.weight_ih", {0.1, 0.2, 0.3});
  graph.set("gru.weight_hh", {0.5, 0.6, 0.7});
  graph.set("gru.bias_ih", {0.01, 0.02, 0.03});
  graph.set("gru.bias_hh", {0.05, 0.06, 0.07});
  double h = 0.0;
  for (const double x : {1.0, -2.0}) {
    const double r = sigmoid(0.1 * x + 0.5 * h + 0.06), z = sigmoid(0.2 * x + 0.6 * h + 0.08);
    const double n = std::tanh(0.3 * x + 0.03 + r * (0.7 * h + 0.07));
    h = (1.0 - z) * n + z * h;
  }
  expect_values(graph.run_one({1.0, -2.0}), {h});
}

TEST(ForwardTest, CausalAttentionOfTheFirstStepSeesOnlyItself) {
  DoubleGraph graph(numbers({2, 1}),
                    {{"attention", "attention", {}, {.bias = false, .causal = true}}});
  graph.set("attention.query.weight", {1});
  graph.set("attention.key.weight", {2});
  graph.set("attention.value.weight", {3});
  graph.set("attention.output.weight", {5});
  const double first = 1.0, second = -1.0;
  // Scores of the second step over keys 2 * first and 2 * second; head size 1 scales by 1.
  const double a = std::exp(second * 2.0 * first), b = std::exp(second * 2.0 * second);
  expect_values(graph.run_one({first, second}),
                {15.0 * first, 15.0 * (a * first + b * second) / (a + b)});
}

TEST(ForwardTest, EmbeddingsLookUpRowsAndBagsSkipPadding) {
  DoubleGraph embedding(ids(2), {{"embedding", "e", {}, {.out = 2, .vocabulary = 3}}});
  embedding.set("e.weight", {1, 2, 3, 4, 5, 6});
  expect_values(embedding.run_one({2, 0}), {5, 6, 1, 2});
  DoubleGraph bag(ids(3), {{"embedding_bag", "e", {}, {.out = 2, .vocabulary = 3}}});
  bag.set("e.weight", {1, 2, 3, 4, 5, 6});
  expect_values(bag.run_one({2, -1, 2}), {10, 12});
  expect_values(bag.run_one({-1, -1, -1}), {0, 0});
}

TEST(ForwardTest, IdOutsideTheVocabularyIsRefusedWithTheNodesName) {
  for (const char* op : {"embedding", "embedding_bag"}) {
    DoubleGraph graph(ids(2), {{op, "tokens", {}, {.out = 2, .vocabulary = 3}}});
    try {
      graph.run_one({1, 3});
      FAIL() << op;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find("'tokens': id 3"), std::string::npos)
          << error.what();
    }
  }
  EXPECT_THROW(
      DoubleGraph(ids(1), {{"embedding", "e", {}, {.out = 2, .vocabulary = 3}}}).run_one({-1}),
      ConfigError);
}

class DropoutTest : public testing::Test {
 protected:
  at::Tensor mask(const DropoutKey& key) const { return graph_.run(ones_, &key); }
  static bool equal(const at::Tensor& a, const at::Tensor& b) { return a.equal(b); }

  DoubleGraph graph_{numbers({500}), {{"dropout", "dropout", {}, {.rate = 0.25}}}};
  at::Tensor ones_ = at::tensor(std::vector<double>(50'000, 1.0)).reshape({100, 500});
};

TEST_F(DropoutTest, IsAFunctionOfSeedClientRoundAndStep) {
  const DropoutKey key{.seed = 5, .client = 6, .round = 7, .step = 8};
  EXPECT_TRUE(equal(mask(key), mask(key)));
  EXPECT_FALSE(equal(mask(key), mask({.seed = 4, .client = 6, .round = 7, .step = 8})));
  EXPECT_FALSE(equal(mask(key), mask({.seed = 5, .client = 5, .round = 7, .step = 8})));
  EXPECT_FALSE(equal(mask(key), mask({.seed = 5, .client = 6, .round = 6, .step = 8})));
  EXPECT_FALSE(equal(mask(key), mask({.seed = 5, .client = 6, .round = 7, .step = 7})));
}

TEST_F(DropoutTest, IsUnbiasedAndZeroesItsRate) {
  const at::Tensor output = mask({});
  // 50,000 draws: five standard deviations of the zero count are 5 * sqrt(n * 0.25 * 0.75) = 484.
  EXPECT_NEAR(output.eq(0.0).sum().item<double>(), 12'500.0, 484.0);
  EXPECT_TRUE(output.gt(0.0).logical_and(output.ne(1.0 / 0.75)).sum().item<double>() == 0.0);
}

TEST_F(DropoutTest, IsNothingInEvaluation) { EXPECT_TRUE(equal(graph_.run(ones_), ones_)); }

TEST_F(DropoutTest, TwoNodesDrawDifferentMasks) {
  const DoubleGraph twice(numbers({500}), {{"dropout", "first", {"input"}, {.rate = 0.25}},
                                           {"dropout", "second", {"input"}, {.rate = 0.25}},
                                           {"concat", "both", {"first", "second"}, {}}});
  const DropoutKey key;
  const at::Tensor out = twice.run(ones_, &key);
  EXPECT_FALSE(equal(out.narrow(1, 0, 500), out.narrow(1, 500, 500)));
}

}  // namespace
}  // namespace coppice::libtorch
