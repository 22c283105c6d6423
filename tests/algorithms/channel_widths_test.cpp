// Which layers can be narrower by themselves, and what stays of them.
#include "algorithms/channel_widths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "algorithms/quantize.h"
#include "algorithms/sensitivity.h"
#include "core/parameter_arena.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

LayerSpec layer(const char* op, const char* name, const Attributes& attributes = {},
                std::vector<std::string> inputs = {}) {
  return {op, name, std::move(inputs), attributes};
}

Graph perceptron(std::int64_t hidden = 4) {
  return Graph::build(numbers({3}), {layer("linear", "hidden", {.out = hidden}),
                                     layer("relu", "relu"), layer("linear", "out", {.out = 2})});
}

std::vector<float> initial(const Graph& graph) {
  const ParameterArena arena = initial_parameters(graph, 1);
  return {arena.values().begin(), arena.values().end()};
}

// The names of the weights that can lose half of their channels.
std::set<std::string> narrowing(const Graph& graph) {
  const ChannelWidths widths(graph, initial(graph));
  std::set<std::string> out;
  for (const ParameterSpec& parameter : graph.parameters()) {
    if (widths.kept(parameter.name, 0.5)) out.insert(parameter.name);
  }
  return out;
}

ParameterSpec spec_of(const Graph& graph, const std::string& name) {
  return graph.parameters().at(static_cast<std::size_t>(graph.parameter_named(name)));
}

TEST(ChannelWidthsTest, TheLargestUnitsStayAndOfEqualOnesTheFirst) {
  const Graph graph = perceptron();
  // hidden.weight [4, 3], hidden.bias [4], out.weight [2, 4], out.bias [2]
  std::vector<float> parameters(26, 1.0F);
  parameters[3] = 5.0F;  // of unit 1
  const ChannelWidths widths(graph, parameters);
  EXPECT_EQ(widths.kept("hidden.weight", 0.25), (KeptChannels{1}));
  EXPECT_EQ(widths.kept("hidden.weight", 0.5), (KeptChannels{0, 1}));
  EXPECT_EQ(widths.kept("hidden.weight", 0.75), (KeptChannels{0, 1, 2}));
  EXPECT_EQ(widths.kept("hidden.weight", 1e-6), (KeptChannels{1}));  // never none
  EXPECT_FALSE(widths.kept("hidden.weight", 0.9));                   // would be all of them
  parameters[12 + 4 + 2] = 50.0F;  // what is read of unit 2 counts as well
  EXPECT_EQ(ChannelWidths(graph, parameters).kept("hidden.weight", 0.25), (KeptChannels{2}));
}

TEST(ChannelWidthsTest, WhatIsNoShareIsRefused) {
  const Graph graph = perceptron();
  const ChannelWidths widths(graph, initial(graph));
  for (const double share : {0.0, -0.5, 1.0, 1.5}) {
    EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { widths.kept("hidden.weight", share); }),
                         "expected a share above 0 and below 1"));
  }
}

TEST(ChannelWidthsTest, OnlyWhatHasItsChannelsToItselfCanBeNarrower) {
  EXPECT_EQ(narrowing(perceptron()), (std::set<std::string>{"hidden.weight"}));
  EXPECT_TRUE(ChannelWidths().is_empty());
  const Attributes conv{.out = 16, .kernel = {3, 3}, .padding = {1, 1}};
  // The stem and the second convolution make one residual stream; the first of the branch is alone.
  const Graph residual = Graph::build(
      numbers({3, 8, 8}),
      {layer("conv2d", "stem", conv), layer("conv2d", "inner", conv), layer("relu", "relu"),
       layer("conv2d", "outer", conv), layer("add", "sum", {}, {"outer", "stem"}),
       layer("global_avg_pool", "pool"), layer("linear", "out", {.out = 2})});
  EXPECT_EQ(narrowing(residual), (std::set<std::string>{"inner.weight"}));
  // A depthwise convolution makes the same channels again.
  Attributes depthwise = conv;
  depthwise.groups = 16;
  const Graph separable = Graph::build(
      numbers({3, 8, 8}), {layer("conv2d", "first", conv), layer("conv2d", "depthwise", depthwise),
                           layer("conv2d", "last", conv), layer("global_avg_pool", "pool"),
                           layer("linear", "out", {.out = 2})});
  EXPECT_EQ(narrowing(separable), (std::set<std::string>{"last.weight"}));
}

TEST(ChannelWidthsTest, GroupsOfANormGoTogether) {
  const Graph graph = Graph::build(
      numbers({3, 8, 8}), {layer("conv2d", "conv", {.out = 24, .kernel = {3, 3}}),
                           layer("group_norm", "norm", {.group_size = 8}), layer("flatten", "flat"),
                           layer("linear", "out", {.out = 2})});
  std::vector<float> parameters = initial(graph);
  const ParameterSpec weight = spec_of(graph, "conv.weight");
  parameters[static_cast<std::size_t>(weight.offset + 17 * weight.size() / 24)] = 100.0F;
  const ChannelWidths widths(graph, parameters);
  EXPECT_EQ(widths.kept("conv.weight", 0.3), (KeptChannels{16, 17, 18, 19, 20, 21, 22, 23}));
  EXPECT_EQ(widths.kept("conv.weight", 0.7)->size(), 16U);
  EXPECT_FALSE(widths.kept("conv.weight", 0.9));
}

TEST(ChannelWidthsTest, RemovedUnitsLeaveWhatWasKept) {
  const Graph graph = perceptron();
  const std::vector<float> parameters = initial(graph);
  const ChannelWidths widths(graph, parameters);
  std::vector<std::uint8_t> keep(static_cast<std::size_t>(widths.coupling().unit_count), 1);
  widths.remove("hidden.weight", 0.5, keep);
  const Shrunk shrunk = shrink(graph, widths.coupling(), keep);
  const ParameterSpec weight = spec_of(graph, "hidden.weight");
  const auto values = std::span(parameters).first(static_cast<std::size_t>(weight.size()));
  const KeptChannels kept = widths.kept("hidden.weight", 0.5).value();
  const std::vector<float> left = shrunk.map.gather(parameters);
  EXPECT_EQ(narrowed(weight, values, kept), std::vector<float>(left.begin(), left.begin() + 6));
  EXPECT_EQ(narrowed(weight, kept).shape, (Shape{2, 3}));
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { widths.remove("out.weight", 0.5, keep); }),
                       "'out.weight' cannot keep 0.5 of its output channels"));
}

TEST(ChannelWidthsTest, AWidthsChangeIsTheChannelsThatGoAndTheGridOfTheRest) {
  const Graph graph = perceptron(8);
  const std::vector<float> parameters = initial(graph);
  const ChannelWidths widths(graph, parameters);
  const ParameterSpec weight = spec_of(graph, "hidden.weight");
  const auto values = std::span(parameters).first(static_cast<std::size_t>(weight.size()));
  const std::vector<WeightCandidate> candidates{{.bits = 4},
                                                {.bits = 32, .channels = 0.5},
                                                {.bits = 4, .channels = 0.5},
                                                {.density = 0.5, .bits = 4, .channels = 0.5},
                                                {.block_density = 0.5, .bits = 4, .channels = 0.5},
                                                {.bits = 4, .channels = 0.99}};
  std::vector<std::size_t> shown;
  candidate_changes(
      weight, values, candidates,
      [&](std::size_t c, std::span<const float> changes) {
        shown.push_back(c);
        if (c == 0) return;
        const KeptChannels kept = widths.kept("hidden.weight", 0.5).value();
        const ParameterSpec narrow = narrowed(weight, kept);
        std::vector<float> stored = narrowed(weight, values, kept);
        if (c == 3) kept_by_magnitude(stored, 0.5).apply(stored);
        if (c == 4) kept_blocks(narrow, stored, 0.5).apply(stored);
        if (c > 1) fake_quantize(stored, weight_quant(narrow, stored, 4));
        for (std::size_t i = 0; i < changes.size(); ++i) {
          const auto place = std::ranges::find(kept, static_cast<std::int64_t>(i / 3));
          const auto at = static_cast<std::size_t>(place - kept.begin()) * 3 + i % 3;
          const float left = place == kept.end() ? 0.0F : stored[at];
          EXPECT_EQ(changes[i], left - values[i]) << c << ' ' << i;
        }
      },
      widths);
  EXPECT_EQ(shown, (std::vector<std::size_t>{0, 1, 2, 3, 4}));  // the last removes nothing
  // Without widths there are none, and no table has a loss for what there is not.
  const std::vector<float> ones(values.size(), 1.0F);
  const std::vector<double> table = sensitivity(weight, values, ones, candidates);
  EXPECT_GT(table[0], 0.0);
  EXPECT_EQ(std::vector<double>(table.begin() + 1, table.end()), std::vector<double>(5, 0.0));
  EXPECT_GT(sensitivity(weight, values, ones, candidates, widths)[1], table[0]);
  const std::vector<WeightCandidate> none{{.channels = 0.0}};
  EXPECT_TRUE(
      contains(thrown_text<ConfigError>([&] { sensitivity(weight, values, ones, none, widths); }),
               "expected a share of channels above 0"));
}

}  // namespace
}  // namespace coppice
