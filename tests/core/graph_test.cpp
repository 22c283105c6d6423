#include "core/graph.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "core/random.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

constexpr std::int64_t kHuge = std::int64_t{1} << 24;

LayerSpec named(const char* op, const char* name, const Attributes& attributes = {},
                std::vector<std::string> inputs = {}) {
  return {op, name, std::move(inputs), attributes};
}

LayerSpec layer(const char* op, const Attributes& attributes = {}) {
  return named(op, "", attributes);
}

std::string build_error(Shape input, std::vector<LayerSpec> layers) {
  return thrown_text<ConfigError>(
      [&] { Graph::build(numbers(std::move(input)), std::move(layers)); });
}

std::vector<LayerSpec> lenet5_layers() {
  const Attributes pool{.kernel = {2, 2}};
  return {layer("normalize", {.mean = 0.5, .deviation = 0.5}),
          layer("conv2d", {.out = 6, .kernel = {5, 5}}),
          layer("relu"),
          layer("max_pool2d", pool),
          layer("conv2d", {.out = 16, .kernel = {5, 5}}),
          layer("relu"),
          layer("max_pool2d", pool),
          layer("flatten"),
          layer("linear", {.out = 120}),
          layer("relu"),
          layer("linear", {.out = 84}),
          layer("relu"),
          layer("linear", {.out = 10})};
}

Graph lenet5() { return Graph::build(numbers({1, 28, 28}), lenet5_layers()); }

// A graph that uses branches, options of every type and label names.
Graph branched() {
  InputSpec input{.shape = {8, 6, 6}, .label_names = {"a \"b\"", "c"}};
  return Graph::build(
      input,
      {named("conv2d", "left", {.out = 8, .kernel = {3, 3}, .padding = {1, 1}, .bias = false},
             {"input"}),
       named("group_norm", "norm", {.epsilon = 1e-3}), named("add", "sum", {}, {"norm", "input"}),
       named("leaky_relu", "leak", {.slope = 0.3}), named("global_avg_pool", "pool"),
       named("linear", "out", {.out = 2})});
}

TEST(GraphTest, Lenet5HasThePublishedParametersAndWork) {
  const Graph graph = lenet5();
  EXPECT_EQ(graph.parameter_count(), 44'426);  // 156 + 2,416 + 30,840 + 10,164 + 850
  const std::int64_t convolutions = 6 * 24 * 24 * 25 + 16 * 8 * 8 * 6 * 25;
  EXPECT_EQ(graph.total_cost().macs, convolutions + 256 * 120 + 120 * 84 + 84 * 10);
  EXPECT_EQ(graph.total_cost().macs, 281'640);
  EXPECT_EQ(graph.total_cost().parameter_bytes, 4 * 44'426);
}

TEST(GraphTest, ParametersLieOneAfterTheOtherInOrder) {
  const Graph graph = lenet5();
  std::int64_t offset = 0;
  for (const ParameterSpec& parameter : graph.parameters()) {
    EXPECT_EQ(parameter.offset, offset) << parameter.name;
    offset += parameter.size();
  }
  EXPECT_EQ(offset, graph.parameter_count());
  EXPECT_EQ(graph.parameters().at(2).name, "conv2d2.weight");
  EXPECT_EQ(graph.parameters().at(2).fan_in, 6 * 25);
  EXPECT_EQ(graph.parameter_named("linear3.bias"), 9);
  EXPECT_EQ(graph.parameter_named("linear4.bias"), -1);
  EXPECT_EQ(graph.node_named("input"), 0);
  EXPECT_EQ(graph.node_named("nothing"), -1);
}

TEST(GraphTest, InitializersAndTrainabilityFollowTheOp) {
  const Graph graph =
      Graph::build(numbers({3, 4, 4}), {layer("batch_norm"), layer("global_avg_pool")});
  const auto& parameters = graph.parameters();
  ASSERT_EQ(parameters.size(), 4U);
  EXPECT_EQ(parameters[0].initializer, Initializer::kOnes);
  EXPECT_EQ(parameters[1].initializer, Initializer::kZeros);
  EXPECT_TRUE(parameters[1].is_trainable);
  EXPECT_FALSE(parameters[2].is_trainable);
  EXPECT_FALSE(parameters[3].is_trainable);
  EXPECT_EQ(parameters[3].initializer, Initializer::kOnes);
}

TEST(GraphTest, LayersWithoutANameAreNumberedByOp) {
  EXPECT_EQ(lenet5().layers().at(4).name, "conv2d2");
  EXPECT_EQ(lenet5().layers().at(4).inputs, std::vector<std::string>{"max_pool2d1"});
  EXPECT_EQ(lenet5().output().name, "linear3");
}

TEST(GraphTest, NamesMustBeUniquePlainAndKnownBefore) {
  EXPECT_TRUE(contains(build_error({4}, {named("relu", "a"), named("relu", "a")}), "'a'"));
  EXPECT_TRUE(contains(build_error({4}, {named("relu", "input")}), "two of this name"));
  EXPECT_TRUE(contains(build_error({4}, {named("relu", "relu2"), layer("tanh"), layer("relu")}),
                       "'relu2'"));
  EXPECT_TRUE(contains(build_error({4}, {named("relu", "a b")}), "letters, digits"));
  EXPECT_TRUE(contains(build_error({4}, {named("relu", std::string(129, 'a').c_str())}), "128"));
  EXPECT_TRUE(contains(build_error({4}, {named("relu", "a", {}, {"b"}), named("relu", "b")}),
                       "'b' is no earlier layer"));
  EXPECT_TRUE(
      contains(build_error({4}, {named("relu", "a", {}, {"a"})}), "'a' is no earlier layer"));
  EXPECT_TRUE(contains(build_error({4}, {layer("rleu")}), "did you mean 'relu'"));
  EXPECT_TRUE(contains(build_error({4}, {layer("input")}), "not a layer"));
}

// Parameters are found by name in files, so "a" with a part "query" must not meet a layer
// "a.query".
TEST(GraphTest, ParametersOfTwoLayersCannotShareAName) {
  const std::string error =
      build_error({4, 6}, {named("attention", "a"), named("linear", "a.query", {.out = 6})});
  EXPECT_TRUE(contains(error, "a.query")) << error;
}

TEST(GraphTest, LayerWhoseOutputNobodyUsesIsNamed) {
  const std::string error =
      build_error({4}, {named("relu", "dead"), named("tanh", "alive", {}, {"input"})});
  EXPECT_TRUE(contains(error, "'dead'")) << error;
  EXPECT_TRUE(contains(build_error({4}, {}), "expected 1..10000 layers, got 0"));
  EXPECT_TRUE(contains(build_error({4}, std::vector<LayerSpec>(10'001, layer("relu"))), "10001"));
}

TEST(GraphTest, SizesOutOfRangeAreRefusedBeforeTheyOverflow) {
  EXPECT_TRUE(contains(build_error({}, {layer("relu")}), "shape of 0 axes"));
  EXPECT_TRUE(contains(build_error({1, 1, 1, 1}, {layer("relu")}), "at most 3 axes"));
  EXPECT_TRUE(contains(build_error({0}, {layer("relu")}), "axis of 0"));
  EXPECT_TRUE(contains(build_error({-1}, {layer("relu")}), "axis of -1"));
  EXPECT_TRUE(contains(build_error({kHuge + 1}, {layer("relu")}), "expected 1..16777216"));
  EXPECT_TRUE(contains(build_error({1, kHuge, 129}, {layer("relu")}), "more than 2147483648"));
  EXPECT_TRUE(contains(build_error({129}, {layer("linear", {.out = kHuge})}), "'linear1.weight'"));
  EXPECT_TRUE(contains(build_error({64}, {layer("linear", {.out = kHuge}), layer("relu"),
                                          layer("linear", {.out = 65})}),
                       "2^31 parameters"));
  EXPECT_NE(build_error({4}, {layer("linear", {.out = INT64_MAX})}), "");
  EXPECT_NE(build_error({4}, {layer("linear", {.out = INT64_MIN})}), "");
  EXPECT_NE(build_error(
                {1, 4, 4},
                {layer("conv2d", {.out = 1, .kernel = {kHuge, kHuge}, .padding = {kHuge, kHuge}})}),
            "");
  EXPECT_NE(build_error({4, 4}, {layer("attention", {.heads = kHuge, .head_size = kHuge})}), "");
  EXPECT_NE(build_error({4, 4}, {layer("lstm", {.hidden = kHuge})}), "");
  EXPECT_NE(build_error({1 << 10, 1 << 10, 1 << 10}, {layer("flatten")}), "");
}

// Scores are steps x steps a head: a tensor like any other, although only the executor sees it.
TEST(GraphTest, WorkThatWouldOverflowIsRefused) {
  EXPECT_TRUE(contains(
      build_error({kHuge, 1}, {layer("attention", {.heads = kHuge, .head_size = 1})}), "steps"));
  constexpr std::int64_t kKernel = (1 << 14) + 1;
  const Attributes wide{.out = 1, .kernel = {kKernel, kKernel}, .padding = {1 << 13, 1 << 13}};
  const Graph large = Graph::build(numbers({1, 1 << 15, 1 << 15}), {layer("conv2d", wide)});
  EXPECT_EQ(large.total_cost().macs, (std::int64_t{1} << 30) * kKernel * kKernel);
}

TEST(GraphTest, JsonReadsBackToTheSameGraphAndTheSameBytes) {
  for (const Graph& graph : {lenet5(), branched()}) {
    const Graph back = Graph::from_json(graph.to_json());
    EXPECT_EQ(back, graph);
    EXPECT_EQ(back.to_json(), graph.to_json());
    EXPECT_EQ(back.parameter_count(), graph.parameter_count());
  }
  EXPECT_NE(lenet5(), branched());
}

TEST(GraphTest, JsonHoldsOnlyWhatDiffersFromTheDefaults) {
  const Graph graph = Graph::build(numbers({2}), {layer("linear", {.out = 3})});
  EXPECT_EQ(graph.to_json(),
            R"({"input":{"shape":[2],"type":"float32","labels_per_sample":1,"label_names":[]},)"
            R"("layers":[{"op":"linear","name":"linear1","inputs":["input"],"out":3}]})");
}

TEST(GraphTest, JsonInAnotherOrderOrSpacingGivesTheCanonicalBytes) {
  const char* loose = R"( {"layers": [ {"out": 3, "bias": true, "op": "linear"} ],
    "input": {"label_names": [], "labels_per_sample": 1, "type": "float32", "shape": [2]}} )";
  EXPECT_EQ(Graph::from_json(loose).to_json(),
            Graph::build(numbers({2}), {layer("linear", {.out = 3})}).to_json());
}

TEST(GraphTest, JsonThatIsNoGraphIsRefused) {
  const auto with = [](const char* input, const char* layers) {
    return std::string("{\"input\":") + input + ",\"layers\":" + layers + "}";
  };
  const char* input = R"({"shape":[2],"type":"float32","labels_per_sample":1,"label_names":[]})";
  EXPECT_NO_THROW(Graph::from_json(with(input, R"([{"op":"relu"}])")));
  for (const char* layers :
       {"[]", "{}", "[1]", "[{}]", R"([{"op":"relu","outt":3}])", R"([{"op":"relu","kernel":[1]}])",
        R"([{"op":"relu","out":1.5}])", R"([{"op":"relu","bias":1}])",
        R"([{"op":"relu","inputs":"input"}])", R"([{"op":"relu","out":-1}])"}) {
    EXPECT_THROW(Graph::from_json(with(input, layers)), Error) << layers;
  }
  for (const char* bad :
       {"1", "{}", R"({"shape":[2]})",
        R"({"shape":[2],"type":"int8","labels_per_sample":1,"label_names":[]})",
        R"({"shape":[2],"type":"int32","labels_per_sample":0,"label_names":[]})",
        R"({"shape":["2"],"type":"int32","labels_per_sample":1,"label_names":[]})"}) {
    EXPECT_THROW(Graph::from_json(with(bad, R"([{"op":"relu"}])")), Error) << bad;
  }
}

TEST(GraphTest, TruncatedJsonIsRefusedAtEveryByte) {
  const std::string whole = branched().to_json();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    ASSERT_THROW(Graph::from_json(whole.substr(0, n)), DataError) << n;
  }
}

TEST(GraphTest, DamagedJsonGivesAnErrorOrAGraphThatRoundTrips) {
  const std::string whole = branched().to_json();
  RandomStream stream({.task = 1});
  int valid = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = whole;
    char& byte = damaged[stream.next_below(damaged.size())];
    const bool is_digit = i % 2 == 0;  // changed numbers and names are often other valid graphs
    byte = static_cast<char>(is_digit ? '0' + stream.next_below(10) : stream.next_below(256));
    try {
      const Graph graph = Graph::from_json(damaged);
      ASSERT_EQ(Graph::from_json(graph.to_json()).to_json(), graph.to_json());
      ASSERT_GE(graph.total_cost().macs, 0);
      ++valid;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(valid, 20);
}

}  // namespace
}  // namespace coppice
