#include "core/coupling.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/parameter_arena.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

LayerSpec layer(const char* op, const char* name, const Attributes& attributes = {},
                std::vector<std::string> inputs = {}) {
  return {op, name, std::move(inputs), attributes};
}

const CouplingGroup& group_of(const Coupling& coupling, const std::string& layer_name) {
  for (const CouplingGroup& group : coupling.groups) {
    if (std::ranges::find(group.layers, layer_name) != group.layers.end()) return group;
  }
  throw Error("no group of " + layer_name);
}

std::vector<std::uint8_t> keep_all(const Coupling& coupling) {
  return std::vector<std::uint8_t>(static_cast<std::size_t>(coupling.unit_count), 1);
}

// Everything but the units of `group` at these places.
std::vector<std::uint8_t> without(const Coupling& coupling, const CouplingGroup& group,
                                  const std::vector<std::size_t>& at) {
  std::vector<std::uint8_t> keep = keep_all(coupling);
  for (const std::size_t i : at) keep[static_cast<std::size_t>(group.units.at(i))] = 0;
  return keep;
}

Graph two_layers() {
  return Graph::build(numbers({3}), {layer("linear", "hidden", {.out = 4}), layer("relu", "relu"),
                                     layer("linear", "out", {.out = 2})});
}

TEST(CouplingTest, HiddenUnitTakesItsRowBiasAndColumn) {
  const Graph graph = two_layers();
  const Coupling coupling = couple(graph);
  const CouplingGroup& hidden = group_of(coupling, "hidden");
  EXPECT_TRUE(hidden.is_prunable);
  EXPECT_FALSE(group_of(coupling, "input").is_prunable);
  EXPECT_FALSE(group_of(coupling, "out").is_prunable);
  EXPECT_EQ(coupling.prunable_groups().size(), 1U);
  const Shrunk shrunk = shrink(graph, coupling, without(coupling, hidden, {1}));
  EXPECT_EQ(shrunk.graph.layers()[0].attributes.out, 3);
  // hidden.weight 4x3 without row 1, hidden.bias without 1, out.weight 2x4 without column 1,
  // out.bias
  EXPECT_TRUE(std::ranges::equal(
      shrunk.map.source(), std::vector<std::int64_t>{0,  1,  2,  6,  7,  8,  9,  10, 11, 12,
                                                     14, 15, 16, 18, 19, 20, 22, 23, 24, 25}));
}

TEST(CouplingTest, ZeroUnitsZeroesExactlyWhatTheUnitProduces) {
  const Graph graph = two_layers();
  const Coupling coupling = couple(graph);
  std::vector<float> arena(26, 1.0F);
  zero_units(graph, coupling, without(coupling, group_of(coupling, "hidden"), {1}), arena);
  for (std::size_t i = 0; i < arena.size(); ++i) {
    const bool is_zeroed = (i >= 3 && i < 6) || i == 13;
    EXPECT_EQ(arena[i], is_zeroed ? 0.0F : 1.0F) << i;
  }
}

TEST(CouplingTest, ResidualBranchesGoTogether) {
  const Attributes conv{.out = 16, .kernel = {3, 3}, .padding = {1, 1}};
  const Graph graph = Graph::build(
      numbers({3, 8, 8}), {layer("conv2d", "stem", conv), layer("conv2d", "a", conv),
                           layer("add", "sum1", {}, {"a", "stem"}), layer("conv2d", "b", conv),
                           layer("add", "sum2", {}, {"b", "sum1"}),
                           layer("global_avg_pool", "pool"), layer("linear", "out", {.out = 2})});
  const Coupling coupling = couple(graph);
  const CouplingGroup& group = group_of(coupling, "b");
  EXPECT_EQ(group.name, "stem");
  EXPECT_EQ(group.layers, (std::vector<std::string>{"stem", "a", "b"}));
  EXPECT_EQ(group.units.size(), 16U);
  const Graph smaller = shrink(graph, coupling, without(coupling, group, {0, 5, 15})).graph;
  for (const int i : {0, 1, 3})
    EXPECT_EQ(smaller.layers()[static_cast<std::size_t>(i)].attributes.out, 13);
}

TEST(CouplingTest, GroupNormGoesByWholeGroups) {
  const Graph graph = Graph::build(
      numbers({3, 4, 4}), {layer("conv2d", "conv", {.out = 24}), layer("group_norm", "norm"),
                           layer("global_avg_pool", "pool"), layer("linear", "out", {.out = 2})});
  const Coupling coupling = couple(graph);
  const CouplingGroup& group = group_of(coupling, "conv");
  EXPECT_EQ(group.units.size(), 3U);
  EXPECT_EQ(shrink(graph, coupling, without(coupling, group, {1})).graph.layers()[0].attributes.out,
            16);
}

TEST(CouplingTest, AttentionLosesHeadsButNotItsWidth) {
  const Graph graph = Graph::build(
      numbers({6, 12}), {layer("attention", "attention", {.heads = 3}), layer("last_step", "last"),
                         layer("linear", "out", {.out = 2})});
  const Coupling coupling = couple(graph);
  ASSERT_EQ(coupling.prunable_groups().size(), 1U);
  const CouplingGroup& heads =
      coupling.groups[static_cast<std::size_t>(coupling.prunable_groups()[0])];
  EXPECT_EQ(heads.units.size(), 3U);
  const Graph smaller = shrink(graph, coupling, without(coupling, heads, {0})).graph;
  EXPECT_EQ(smaller.layers()[0].attributes.heads, 2);
  EXPECT_EQ(smaller.layers()[0].attributes.head_size, 4);
  EXPECT_EQ(smaller.nodes()[1].shape, (Shape{6, 12}));
  const std::vector<int>& width = coupling.groups[0].units;
  std::vector<std::uint8_t> keep = keep_all(coupling);
  keep[static_cast<std::size_t>(width[0])] = 0;
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { shrink(graph, coupling, keep); }),
                       "cannot be removed"));
}

TEST(CouplingTest, DepthwiseConvolutionFollowsItsInput) {
  const Graph graph = Graph::build(
      numbers({3, 6, 6}), {layer("conv2d", "wide", {.out = 6}),
                           layer("conv2d", "depth", {.out = 12, .kernel = {3, 3}, .groups = 6}),
                           layer("global_avg_pool", "pool"), layer("linear", "out", {.out = 2})});
  const Coupling coupling = couple(graph);
  const CouplingGroup& group = group_of(coupling, "depth");
  EXPECT_EQ(group.name, "wide");
  EXPECT_EQ(group.units.size(), 6U);
  const Graph smaller = shrink(graph, coupling, without(coupling, group, {2, 3})).graph;
  EXPECT_EQ(smaller.layers()[0].attributes.out, 4);
  EXPECT_EQ(smaller.layers()[1].attributes.out, 8);
  EXPECT_EQ(smaller.layers()[1].attributes.groups, 4);
}

// A layer that makes only a part of a group's units could lose all of them while the group keeps
// some.
TEST(CouplingTest, GroupWhoseLayersMakeDifferentUnitsStays) {
  const Graph graph = Graph::build(
      numbers({3}), {layer("linear", "a", {.out = 4}), layer("linear", "b", {.out = 4}, {"input"}),
                     layer("concat", "both", {}, {"a", "b"}), layer("linear", "c", {.out = 8}),
                     layer("add", "sum", {}, {"c", "both"}), layer("relu", "relu"),
                     layer("linear", "out", {.out = 2})});
  const Coupling coupling = couple(graph);
  EXPECT_FALSE(group_of(coupling, "c").is_prunable);
  EXPECT_TRUE(coupling.prunable_groups().empty());
}

TEST(CouplingTest, ConcatOfSeparateGroupsStaysPrunable) {
  const Graph graph = Graph::build(
      numbers({3}), {layer("linear", "a", {.out = 4}), layer("linear", "b", {.out = 5}, {"input"}),
                     layer("concat", "both", {}, {"a", "b"}), layer("linear", "out", {.out = 2})});
  const Coupling coupling = couple(graph);
  EXPECT_EQ(coupling.prunable_groups().size(), 2U);
  const Shrunk shrunk = shrink(graph, coupling, without(coupling, group_of(coupling, "b"), {0, 4}));
  EXPECT_EQ(shrunk.graph.output().parameters.size(), 2U);
  EXPECT_EQ(shrunk.graph.parameters().at(4).shape, (Shape{2, 7}));
}

TEST(CouplingTest, IllegalChoicesThrow) {
  const Graph graph = two_layers();
  const Coupling coupling = couple(graph);
  const auto error = [&](const std::vector<std::uint8_t>& keep) {
    return thrown_text<ConfigError>([&] { shrink(graph, coupling, keep); });
  };
  EXPECT_TRUE(contains(error(without(coupling, group_of(coupling, "hidden"), {0, 1, 2, 3})),
                       "'hidden' would lose all"));
  EXPECT_TRUE(contains(error(without(coupling, group_of(coupling, "input"), {0})),
                       "'input' cannot be removed"));
  EXPECT_TRUE(contains(error(without(coupling, group_of(coupling, "out"), {0})),
                       "'out' cannot be removed"));
  EXPECT_TRUE(contains(error({1, 1}), "expected a choice for 9 units, got 2"));
}

TEST(CouplingTest, KeepingEverythingChangesNothing) {
  const Graph graph = two_layers();
  const Coupling coupling = couple(graph);
  const Shrunk same = shrink(graph, coupling, keep_all(coupling));
  EXPECT_EQ(same.graph, graph);
  EXPECT_EQ(same.map, IndexMap::identity(graph.parameter_count()));
  EXPECT_EQ(kept_parameters(graph, coupling, keep_all(coupling)), graph.parameter_count());
}

// hidden.weight: unit 0 has 4 times the squares of the others; out.weight: unit 3 alone has any.
TEST(CouplingTest, MagnitudesAreScaledByEachParametersMeanSquare) {
  const Graph graph = two_layers();
  const Coupling coupling = couple(graph);
  const CouplingGroup& hidden = group_of(coupling, "hidden");
  ParameterArena arena(graph);
  std::ranges::fill(arena.view(graph.parameters()[0]), 1.0F);
  std::ranges::fill(arena.view(graph.parameters()[0]).first(3), 2.0F);
  std::ranges::fill(arena.view(graph.parameters()[1]), 100.0F);  // biases do not count
  arena.view(graph.parameters()[2])[3] = 0.5F;
  const std::vector<double> scores = unit_magnitudes(graph, coupling, arena.values());
  const auto score = [&](std::size_t i) {
    return scores[static_cast<std::size_t>(hidden.units[i])];
  };
  EXPECT_DOUBLE_EQ(score(0), 12.0 * 4.0 / 21.0);
  EXPECT_DOUBLE_EQ(score(1), 3.0 * 4.0 / 21.0);
  EXPECT_DOUBLE_EQ(score(3), 3.0 * 4.0 / 21.0 + 4.0);
}

TEST(CouplingTest, MagnitudesDoNotDependOnAParametersScale) {
  const Graph graph = two_layers();
  const Coupling coupling = couple(graph);
  ParameterArena arena = initial_parameters(graph, 3);
  const std::vector<double> before = unit_magnitudes(graph, coupling, arena.values());
  for (float& value : arena.view(graph.parameters()[2])) value *= 1024.0F;
  EXPECT_EQ(unit_magnitudes(graph, coupling, arena.values()), before);
  EXPECT_EQ(unit_magnitudes(graph, coupling, ParameterArena(graph).values()),
            std::vector<double>(before.size()));
}

}  // namespace
}  // namespace coppice
