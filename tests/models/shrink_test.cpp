// "Zeroed equals removed": a model whose units are zeroed computes what the model without them
// does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/coupling.h"
#include "core/error.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "models/executor.h"
#include "models/zoo.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

struct Case {
  std::string name;
  Graph graph;
  std::int64_t vocabulary = 0;  // of inputs that are ids
};

LayerSpec layer(const char* op, const char* name, const Attributes& attributes = {},
                std::vector<std::string> inputs = {}) {
  return {op, name, std::move(inputs), attributes};
}

// Every model of the zoo, small where it can be.
std::vector<Case> zoo_cases() {
  std::vector<Case> cases;
  for (const ModelInfo& info : known_models()) {
    ModelConfig config;
    config.name = info.name;
    ModelRequest request{.input = numbers({1, 28, 28})};
    std::int64_t vocabulary = 0;
    if (info.name == "char_transformer") {
      vocabulary = 30;
      request = {.input = ids(16, 16), .classes = 30, .vocabulary = 30};
    }
    cases.push_back({std::string(info.name), make_model(config, request), vocabulary});
  }
  return cases;
}

// Branches that are concatenated, grouped and depthwise convolutions, and channels scaled by a
// gate.
Case branches() {
  return {
      "branches",
      Graph::build(
          numbers({3, 9, 9}),
          {layer("conv2d", "left", {.out = 6, .kernel = {3, 3}, .padding = {1, 1}}, {"input"}),
           layer("batch_norm", "left_norm"), layer("leaky_relu", "left_relu"),
           layer("conv2d", "right", {.out = 10, .kernel = {1, 1}}, {"input"}),
           layer("relu6", "right_relu"), layer("concat", "both", {}, {"left_relu", "right_relu"}),
           layer("conv2d", "depthwise", {.out = 32, .kernel = {3, 3}, .groups = 16}),
           layer("tanh", "tanh"),
           layer("conv2d", "middle", {.out = 12, .kernel = {1, 1}, .bias = false}),
           layer("conv2d", "grouped", {.out = 8, .kernel = {2, 2}, .groups = 4}),
           layer("avg_pool2d", "pool", {.kernel = {2, 2}, .padding = {1, 1}}),
           layer("global_avg_pool", "squeeze", {}, {"pool"}),
           layer("linear", "excite1", {.out = 5}), layer("relu", "excite_relu"),
           layer("linear", "excite2", {.out = 8}), layer("sigmoid", "gate"),
           layer("channel_scale", "scaled", {}, {"pool", "gate"}), layer("flatten", "flatten"),
           layer("linear", "out", {.out = 4})})};
}

Case recurrent() {
  return {"recurrent",
          Graph::build(numbers({7, 5}),
                       {layer("linear", "in", {.out = 6}), layer("gelu", "gelu"),
                        layer("lstm", "lstm", {.hidden = 9}), layer("gru", "gru", {.hidden = 8}),
                        layer("flatten", "flatten"), layer("linear", "out", {.out = 3})})};
}

Case last_of_recurrent() {
  return {"last_step",
          Graph::build(numbers({7, 5}),
                       {layer("gru", "gru", {.hidden = 8}), layer("lstm", "lstm", {.hidden = 9}),
                        layer("last_step", "last"), layer("linear", "out", {.out = 3})})};
}

Case recommender() {
  const Attributes table{.out = 8, .vocabulary = 20};
  return {"recommender",
          Graph::build(ids(6),
                       {layer("slice", "users", {.begin = 0, .length = 2}),
                        layer("embedding_bag", "user_bag", table),
                        layer("slice", "items", {.begin = 2, .length = 4}, {"input"}),
                        layer("embedding_bag", "item_bag", table),
                        layer("embedding_bag", "all_bag", table, {"input"}),
                        layer("dot_interaction", "dots", {}, {"user_bag", "item_bag", "all_bag"}),
                        layer("concat", "features", {}, {"dots", "user_bag"}),
                        layer("linear", "hidden", {.out = 10}), layer("relu", "relu"),
                        layer("linear", "out", {.out = 2})}),
          20};
}

std::vector<Case> all_cases() {
  std::vector<Case> cases = zoo_cases();
  for (Case& own : std::vector<Case>{branches(), recurrent(), last_of_recurrent(), recommender()})
    cases.push_back(std::move(own));
  return cases;
}

RandomStream stream_of(std::int64_t task) { return RandomStream({.task = task}); }

// Weights of a net whose logits depend on every layer; variances stay positive.
std::vector<float> random_weights(const Graph& graph) {
  RandomStream stream = stream_of(1);
  ParameterArena arena = initial_parameters(graph, 1);
  for (const ParameterSpec& parameter : graph.parameters()) {
    const bool is_variance = parameter.name.ends_with("running_var");
    for (float& value : arena.view(parameter)) {
      value += 0.1F * static_cast<float>(stream.next_normal());
      if (is_variance) value = std::abs(value) + 0.5F;
    }
  }
  return {arena.values().begin(), arena.values().end()};
}

// Every unit of a prunable group goes with probability 0.4; one of each stays.
std::vector<std::uint8_t> random_keep(const Coupling& coupling, std::int64_t draw) {
  RandomStream stream = stream_of(100 + draw);
  std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
  for (const int g : coupling.prunable_groups()) {
    const std::vector<int>& units = coupling.groups[static_cast<std::size_t>(g)].units;
    for (const int unit : units)
      keep[static_cast<std::size_t>(unit)] = stream.next_uniform() < 0.4F ? 0 : 1;
    keep[static_cast<std::size_t>(units[stream.next_below(units.size())])] = 1;
  }
  return keep;
}

std::vector<float> random_samples(const Case& one, std::int64_t count) {
  RandomStream stream = stream_of(2);
  std::vector<float> samples(
      static_cast<std::size_t>(count * element_count(one.graph.input().shape)));
  for (float& value : samples) {
    value = one.vocabulary == 0
                ? stream.next_uniform()
                : static_cast<float>(stream.next_below(static_cast<std::uint64_t>(one.vocabulary)));
  }
  return samples;
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b,
                  const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  float largest = 1e-3F;
  float difference = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  EXPECT_LT(difference, 1e-5F * largest) << what << ": logits up to " << largest;
}

class ShrinkEveryModelTest : public testing::TestWithParam<std::size_t> {};

TEST_P(ShrinkEveryModelTest, ZeroedEqualsRemoved) {
  const Case one = all_cases().at(GetParam());
  const Coupling coupling = couple(one.graph);
  EXPECT_FALSE(coupling.prunable_groups().empty()) << one.name;
  const std::vector<float> weights = random_weights(one.graph);
  const std::vector<float> samples = random_samples(one, 3);
  auto dense = make_executor("libtorch", one.graph);
  const std::vector<float> whole = dense->infer({weights}, samples);
  for (std::int64_t draw = 0; draw < 2; ++draw) {
    const std::vector<std::uint8_t> keep = random_keep(coupling, draw);
    std::vector<float> zeroed = weights;
    zero_units(one.graph, coupling, keep, zeroed);
    const Shrunk shrunk = shrink(one.graph, coupling, keep);
    const std::vector<float> expected = dense->infer({zeroed}, samples);
    expect_close(
        expected,
        make_executor("libtorch", shrunk.graph)->infer({shrunk.map.gather(weights)}, samples),
        one.name);
    EXPECT_NE(expected, whole) << one.name;  // the removed units did matter
    EXPECT_LT(shrunk.graph.parameter_count(), one.graph.parameter_count()) << one.name;
    EXPECT_EQ(kept_parameters(one.graph, coupling, keep), shrunk.graph.parameter_count())
        << one.name;
    EXPECT_EQ(shrunk.map.new_size(), shrunk.graph.parameter_count()) << one.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ShrinkEveryModelTest,
                         testing::Range(std::size_t{0}, all_cases().size()),
                         [](const auto& index) { return all_cases()[index.param].name; });

TEST(ShrinkTest, ShrinkingTwiceIsTheSameAsOnceWithBothMaps) {
  for (const Case& one : all_cases()) {
    const Coupling coupling = couple(one.graph);
    const Shrunk first = shrink(one.graph, coupling, random_keep(coupling, 0));
    const Coupling smaller = couple(first.graph);
    const Shrunk second = shrink(first.graph, smaller, random_keep(smaller, 1));
    const std::vector<float> weights = random_weights(one.graph);
    EXPECT_EQ(second.map.gather(first.map.gather(weights)),
              first.map.then(second.map).gather(weights))
        << one.name;
    EXPECT_EQ(smaller.groups.size(), coupling.groups.size()) << one.name;
  }
}

Graph zoo(const char* name) {
  for (const Case& one : zoo_cases()) {
    if (one.name == name) return one.graph;
  }
  throw Error("no such model");
}

TEST(ShrinkTest, ResidualGroupsOfResnet20GoTogetherByEights) {
  const Graph graph = zoo("resnet20");
  const Coupling coupling = couple(graph);
  // 3 residual streams and the inner convolutions of 9 blocks
  EXPECT_EQ(coupling.prunable_groups().size(), 12U);
  const Graph smaller = shrink(graph, coupling, random_keep(coupling, 3)).graph;
  for (const Node& node : smaller.nodes()) {
    if (node.op != OpKind::group_norm) continue;
    EXPECT_EQ(node.shape[0] % 8, 0) << node.name;
  }
  const auto channels = [&](const char* name) {
    return smaller.nodes()[static_cast<std::size_t>(smaller.node_named(name))].shape[0];
  };
  EXPECT_EQ(channels("stem"), channels("stage1.block3.conv2"));
  EXPECT_EQ(channels("stage2.block1.shortcut"), channels("stage2.block3.conv2"));
}

TEST(ShrinkTest, TransformerLosesHeadsAndHiddenUnitsButNotItsWidth) {
  const Graph graph = zoo("char_transformer");
  const Coupling coupling = couple(graph);
  EXPECT_EQ(coupling.prunable_groups().size(), 4U);  // heads and hidden units of two blocks
  for (const CouplingGroup& group : coupling.groups) {
    if (group.units.size() != 64) continue;
    EXPECT_FALSE(group.is_prunable) << group.name;
  }
  std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
  const auto embedding = std::ranges::find(coupling.groups, "embedding", &CouplingGroup::name);
  ASSERT_NE(embedding, coupling.groups.end());
  keep[static_cast<std::size_t>(embedding->units[0])] = 0;
  EXPECT_THROW(shrink(graph, coupling, keep), ConfigError);
}

TEST(ShrinkTest, OutputsOfEveryModelStay) {
  for (const Case& one : zoo_cases()) {
    const Coupling coupling = couple(one.graph);
    const auto output =
        std::ranges::find(coupling.groups, one.graph.output().name, &CouplingGroup::name);
    ASSERT_NE(output, coupling.groups.end()) << one.name;
    EXPECT_FALSE(output->is_prunable) << one.name;
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
    keep[static_cast<std::size_t>(output->units[0])] = 0;
    EXPECT_THROW(shrink(one.graph, coupling, keep), ConfigError) << one.name;
  }
}

}  // namespace
}  // namespace coppice
