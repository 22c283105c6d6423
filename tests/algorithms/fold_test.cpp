#include "algorithms/fold.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

std::span<const float> values_of(const FoldedModel& model, const std::string& name) {
  const int index = model.graph.parameter_named(name);
  if (index < 0) return {};
  const ParameterSpec& parameter = model.graph.parameters()[static_cast<std::size_t>(index)];
  return std::span(model.parameters)
      .subspan(static_cast<std::size_t>(parameter.offset),
               static_cast<std::size_t>(parameter.size()));
}

std::vector<float> copy_of(std::span<const float> values) { return {values.begin(), values.end()}; }

// Two channels of one pixel, 1x1: everything can be worked out by hand.
TEST(FoldTest, GainAndShiftGoIntoTheConvolution) {
  const Graph graph =
      Graph::build(numbers({1, 1, 1}), {{"conv2d", "conv", {}, {.out = 2}},
                                        {"batch_norm", "norm", {}, {.epsilon = 0.5}},
                                        {"relu", "relu", {}, {}}});
  // conv.weight, conv.bias, norm.weight, norm.bias, running_mean, running_var
  const std::vector<float> parameters = {3.0F, -1.0F, 0.5F,  2.0F, 4.0F, 6.0F,
                                         1.0F, -2.0F, 0.25F, 1.0F, 3.5F, 8.5F};
  const FoldedModel folded = fold_batch_norm(graph, parameters);
  EXPECT_EQ(folded.graph.nodes().size(), 3U);  // input, conv, relu
  EXPECT_EQ(folded.graph.nodes()[2].inputs, std::vector<int>{1});
  // Gains 4 / sqrt(3.5 + 0.5) = 2 and 6 / sqrt(8.5 + 0.5) = 2.
  EXPECT_EQ(copy_of(values_of(folded, "conv.weight")), (std::vector<float>{6.0F, -2.0F}));
  // (0.5 - 0.25) * 2 + 1 and (2 - 1) * 2 - 2.
  EXPECT_EQ(copy_of(values_of(folded, "conv.bias")), (std::vector<float>{1.5F, 0.0F}));
  EXPECT_EQ(folded.parameters.size(), 4U);
}

TEST(FoldTest, ConvolutionWithoutABiasGetsOne) {
  const Graph graph =
      Graph::build(numbers({1, 1, 1}), {{"conv2d", "conv", {}, {.out = 1, .bias = false}},
                                        {"batch_norm", "norm", {}, {.epsilon = 1.0}}});
  const FoldedModel folded = fold_batch_norm(graph, std::vector{3.0F, 2.0F, 5.0F, 1.0F, 3.0F});
  EXPECT_EQ(folded.graph.output().name, "conv");
  EXPECT_TRUE(folded.graph.output().attributes.bias);
  EXPECT_EQ(copy_of(values_of(folded, "conv.weight")), std::vector{3.0F});  // 2 / sqrt(3 + 1) = 1
  EXPECT_EQ(copy_of(values_of(folded, "conv.bias")), std::vector{4.0F});    // (0 - 1) * 1 + 5
}

TEST(FoldTest, NormStaysWhereOthersReadTheConvolutionOrNoneIsBefore) {
  const Graph graph =
      Graph::build(numbers({2, 4, 4}), {{"batch_norm", "first", {}, {}},
                                        {"conv2d", "conv", {}, {.out = 2}},
                                        {"batch_norm", "norm", {}, {}},
                                        {"add", "sum", {"conv", "norm"}, {}},
                                        {"max_pool2d", "pool", {}, {.kernel = {2, 2}}},
                                        {"batch_norm", "last", {}, {}}});
  const std::vector<float> parameters(static_cast<std::size_t>(graph.parameter_count()), 1.0F);
  const FoldedModel folded = fold_batch_norm(graph, parameters);
  EXPECT_EQ(folded.graph, graph);
  EXPECT_EQ(folded.parameters, parameters);
}

TEST(FoldTest, OnlyTheFirstOfTwoNormsInARowIsFolded) {
  const Graph graph = Graph::build(numbers({1, 1, 1}), {{"conv2d", "conv", {}, {.out = 1}},
                                                        {"batch_norm", "one", {}, {}},
                                                        {"batch_norm", "two", {}, {}}});
  const std::vector<float> parameters(static_cast<std::size_t>(graph.parameter_count()), 1.0F);
  const FoldedModel folded = fold_batch_norm(graph, parameters);
  EXPECT_EQ(folded.graph.node_named("one"), -1);
  EXPECT_EQ(folded.graph.output().name, "two");
  EXPECT_EQ(folded.graph.layers().back().inputs, std::vector<std::string>{"conv"});
}

TEST(FoldTest, ParametersOfAnotherSizeAreRefused) {
  const Graph graph = Graph::build(numbers({1, 1, 1}), {{"conv2d", "conv", {}, {.out = 1}}});
  EXPECT_EQ(thrown_text<ConfigError>([&] { fold_batch_norm(graph, std::vector{1.0F}); }),
            "fold: expected 2 parameters, got 1");
}

}  // namespace
}  // namespace coppice
