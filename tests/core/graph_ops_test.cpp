// Shape, parameters and multiply-accumulates of every op, against closed forms.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/graph.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

struct OpCase {
  const char* op;
  Shape input;
  std::vector<LayerSpec> layers;  // the op under test is the last
  Shape shape;
  std::int64_t parameters;
  std::int64_t macs;
};

LayerSpec layer(const char* op, const Attributes& attributes = {},
                std::vector<std::string> inputs = {}) {
  return {op, "", std::move(inputs), attributes};
}

std::vector<OpCase> image_cases() {
  return {
      {"normalize",
       {3, 8, 8},
       {layer("normalize", {.mean = 0.5, .deviation = 0.5})},
       {3, 8, 8},
       0,
       0},
      {"conv2d",
       {1, 28, 28},
       {layer("conv2d", {.out = 6, .kernel = {5, 5}})},
       {6, 24, 24},
       6 * 25 + 6,
       6 * 24 * 24 * 25},
      // floor((9 + 2 - 3) / 2) + 1 = 5, floor((7 - 2) / 3) + 1 = 2
      {"conv2d",
       {4, 9, 7},
       {layer("conv2d", {.out = 8,
                         .kernel = {3, 2},
                         .stride = {2, 3},
                         .padding = {1, 0},
                         .groups = 2,
                         .bias = false})},
       {8, 5, 2},
       8 * 2 * 6,
       8 * 5 * 2 * 2 * 6},
      {"conv2d",
       {5, 4, 4},
       {layer("conv2d", {.out = 5, .kernel = {3, 3}, .groups = 5})},
       {5, 2, 2},
       5 * 9 + 5,
       5 * 4 * 9},
      {"max_pool2d", {2, 7, 6}, {layer("max_pool2d", {.kernel = {2, 3}})}, {2, 3, 2}, 0, 0},
      {"max_pool2d",
       {2, 7, 7},
       {layer("max_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}})},
       {2, 4, 4},
       0,
       0},
      {"avg_pool2d",
       {2, 6, 6},
       {layer("avg_pool2d", {.kernel = {3, 2}, .stride = {1, 2}})},
       {2, 4, 3},
       0,
       0},
      {"global_avg_pool", {7, 5, 4}, {layer("global_avg_pool")}, {7}, 0, 0},
      {"flatten", {3, 4, 5}, {layer("flatten")}, {60}, 0, 0},
      {"group_norm", {16, 3, 3}, {layer("group_norm")}, {16, 3, 3}, 32, 0},
      {"batch_norm", {6, 3, 3}, {layer("batch_norm")}, {6, 3, 3}, 24, 0},
      {"channel_scale",
       {3, 4, 4},
       {layer("global_avg_pool"), layer("channel_scale", {}, {"input", "global_avg_pool1"})},
       {3, 4, 4},
       0,
       0},
      {"concat",
       {3, 4, 4},
       {layer("conv2d", {.out = 5}), layer("concat", {}, {"input", "conv2d1", "input"})},
       {11, 4, 4},
       0,
       0},
  };
}

std::vector<OpCase> vector_cases() {
  return {
      {"linear", {20}, {layer("linear", {.out = 30})}, {30}, 20 * 30 + 30, 20 * 30},
      {"linear", {20}, {layer("linear", {.out = 30, .bias = false})}, {30}, 20 * 30, 20 * 30},
      {"linear", {7, 20}, {layer("linear", {.out = 30})}, {7, 30}, 20 * 30 + 30, 7 * 20 * 30},
      {"relu", {4}, {layer("relu")}, {4}, 0, 0},
      {"relu6", {2, 4}, {layer("relu6")}, {2, 4}, 0, 0},
      {"leaky_relu", {4}, {layer("leaky_relu")}, {4}, 0, 0},
      {"gelu", {4}, {layer("gelu")}, {4}, 0, 0},
      {"tanh", {4}, {layer("tanh")}, {4}, 0, 0},
      {"sigmoid", {4}, {layer("sigmoid")}, {4}, 0, 0},
      {"dropout", {4}, {layer("dropout", {.rate = 0.25})}, {4}, 0, 0},
      {"add",
       {4},
       {layer("relu"), layer("tanh", {}, {"input"}), layer("add", {}, {"relu1", "tanh1"})},
       {4},
       0,
       0},
      {"concat", {4}, {layer("relu"), layer("concat", {}, {"input", "relu1"})}, {8}, 0, 0},
      {"slice", {9}, {layer("slice", {.begin = 4, .length = 5})}, {5}, 0, 0},
      {"flatten", {6, 5}, {layer("flatten")}, {30}, 0, 0},
      // 3 vectors of 4: 3 pairs of 4 products
      {"dot_interaction",
       {4},
       {layer("relu"), layer("tanh", {}, {"input"}),
        layer("dot_interaction", {}, {"input", "relu1", "tanh1"})},
       {3},
       0,
       3 * 4},
  };
}

std::vector<OpCase> sequence_cases() {
  return {
      {"embedding", {16}, {layer("embedding", {.out = 8, .vocabulary = 30})}, {16, 8}, 240, 0},
      {"embedding_bag", {16}, {layer("embedding_bag", {.out = 8, .vocabulary = 30})}, {8}, 240, 0},
      {"positions", {16, 8}, {layer("positions")}, {16, 8}, 128, 0},
      {"layer_norm", {16, 8}, {layer("layer_norm")}, {16, 8}, 16, 0},
      {"attention",
       {10, 12},
       {layer("attention", {.heads = 3})},
       {10, 12},
       4 * (12 * 12 + 12),
       4 * 10 * 12 * 12 + 2 * 10 * 10 * 12},
      // heads of their own size: 2 x 5 inner features
      {"attention",
       {10, 12},
       {layer("attention", {.bias = false, .heads = 2, .head_size = 5})},
       {10, 12},
       4 * 12 * 10,
       4 * 10 * 12 * 10 + 2 * 10 * 10 * 10},
      {"lstm",
       {10, 6},
       {layer("lstm", {.hidden = 7})},
       {10, 7},
       4 * 7 * (6 + 7 + 2),
       10 * 4 * 7 * (6 + 7)},
      {"gru",
       {10, 6},
       {layer("gru", {.hidden = 7})},
       {10, 7},
       3 * 7 * (6 + 7 + 2),
       10 * 3 * 7 * (6 + 7)},
      {"last_step", {10, 6}, {layer("last_step")}, {6}, 0, 0},
  };
}

std::vector<OpCase> all_cases() {
  std::vector<OpCase> cases = image_cases();
  for (const auto& more : {vector_cases(), sequence_cases()})
    cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

TEST(GraphOpsTest, EveryOpHasACase) {
  std::set<std::string_view> covered{"input"};
  for (const OpCase& one : all_cases()) covered.insert(one.op);
  for (const OpInfo& info : known_ops()) EXPECT_TRUE(covered.contains(info.name)) << info.name;
}

TEST(GraphOpsTest, ShapeParametersAndMacsAreTheClosedForms) {
  for (const OpCase& one : all_cases()) {
    const Graph graph = Graph::build(numbers(one.input), one.layers);
    const Node& node = graph.output();
    ASSERT_EQ(op_info(node.op).name, one.op);
    EXPECT_EQ(node.shape, one.shape) << one.op << ' ' << shape_text(node.shape);
    const NodeCost expected{one.macs, 4 * one.parameters, 4 * element_count(one.shape)};
    EXPECT_EQ(graph.cost(node), expected)
        << one.op << ' ' << graph.cost(node).macs << ' ' << graph.cost(node).parameter_bytes;
  }
}

TEST(GraphOpsTest, NamesAndNumbersOfOpsAgree) {
  int number = 0;
  for (const OpInfo& info : known_ops()) {
    EXPECT_EQ(static_cast<int>(info.op), number++);
    EXPECT_EQ(op_named(info.name), info.op);
    EXPECT_EQ(&op_info(info.op), &info);
  }
  EXPECT_TRUE(
      contains(thrown_text<ConfigError>([] { op_named("conv2"); }), "did you mean 'conv2d'"));
}

struct Refusal {
  Shape input;
  std::vector<LayerSpec> layers;
  const char* says;
};

// The last layer is refused.
void expect_refused(const std::vector<Refusal>& refusals) {
  for (const Refusal& refusal : refusals) {
    std::vector<LayerSpec> layers = refusal.layers;
    layers.back().name = "guilty";
    const std::string error =
        thrown_text<ConfigError>([&] { Graph::build(numbers(refusal.input), layers); });
    EXPECT_TRUE(contains(error, "layer 'guilty' (" + layers.back().op + ")"))
        << refusal.says << ": " << error;
    EXPECT_TRUE(contains(error, refusal.says)) << refusal.says << ": " << error;
  }
}

TEST(GraphOpsTest, MisuseOfImageOpsNamesTheLayer) {
  expect_refused({
      {{4}, {layer("conv2d", {.out = 2})}, "expected an image"},
      {{1, 4, 4}, {layer("conv2d")}, "expected out >= 1, got 0"},
      {{1, 4, 4},
       {layer("conv2d", {.out = 2, .kernel = {5, 1}})},
       "kernel 5 is larger than the padded input 4"},
      {{1, 4, 4}, {layer("conv2d", {.out = 2, .kernel = {0, 1}})}, "expected kernel >= 1"},
      {{3, 4, 4}, {layer("conv2d", {.out = 4, .groups = 2})}, "groups 2 must divide"},
      {{1, 4, 4}, {layer("max_pool2d", {.kernel = {2, 2}, .padding = {2, 2}})}, "more than half"},
      {{1, 4, 4}, {layer("avg_pool2d", {.kernel = {9, 9}})}, "larger than"},
      {{12, 4, 4}, {layer("group_norm")}, "group_size 8 must divide"},
      {{8, 4, 4}, {layer("group_norm", {.epsilon = 0.0})}, "epsilon > 0"},
      {{8, 4, 4}, {layer("layer_norm")}, "expected a vector or sequence"},
      {{8, 4, 4}, {layer("linear", {.out = 3})}, "flatten images first"},
      {{8}, {layer("global_avg_pool")}, "expected an image"},
      {{2, 4, 4},
       {layer("global_avg_pool"), layer("channel_scale", {}, {"global_avg_pool1", "input"})},
       "an image"},
      {{2, 4, 4},
       {layer("global_avg_pool"), layer("linear", {.out = 3}),
        layer("channel_scale", {}, {"input", "linear1"})},
       "expected 2 factors, got 3"},
      {{2, 4, 4},
       {layer("conv2d", {.out = 3}), layer("add", {}, {"input", "conv2d1"})},
       "inputs of one shape"},
      {{2, 4, 4},
       {layer("max_pool2d", {.kernel = {2, 2}}), layer("concat", {}, {"input", "max_pool2d1"})},
       "differ"},
      {{2, 4, 4}, {layer("flatten"), layer("concat", {}, {"input", "flatten1"})}, "differ"},
  });
}

TEST(GraphOpsTest, MisuseOfOtherOpsNamesTheLayer) {
  expect_refused({
      {{4}, {layer("dropout", {.rate = 1.0})}, "expected rate in [0, 1)"},
      {{4}, {layer("dropout", {.rate = std::nan("")})}, "expected rate in [0, 1)"},
      {{4}, {layer("normalize", {.deviation = 0.0})}, "deviation > 0"},
      {{4}, {layer("normalize", {.mean = HUGE_VAL})}, "finite mean"},
      {{4}, {layer("leaky_relu", {.slope = HUGE_VAL})}, "finite slope"},
      {{4}, {layer("slice", {.begin = 2, .length = 3})}, "begin + length <= 4"},
      {{4}, {layer("slice", {.begin = 2})}, "length >= 1"},
      {{4}, {layer("add")}, "at least 2 inputs"},
      {{4}, {layer("concat")}, "at least 2 inputs"},
      {{4}, {layer("relu", {}, {"input", "input"})}, "expected 1 input(s), got 2"},
      {{4},
       {layer("relu"), layer("linear", {.out = 3}),
        layer("dot_interaction", {}, {"relu1", "linear1"})},
       "one length"},
      {{4}, {layer("dot_interaction")}, "at least 2 inputs"},
      {{4}, {layer("embedding", {.out = 3})}, "expected vocabulary >= 1"},
      {{4}, {layer("embedding_bag", {.vocabulary = 3})}, "expected out >= 1"},
      {{4, 4}, {layer("embedding", {.out = 3, .vocabulary = 3})}, "a sequence of ids"},
      {{4}, {layer("positions")}, "a sequence"},
      {{4}, {layer("last_step")}, "a sequence"},
      {{4}, {layer("lstm", {.hidden = 3})}, "a sequence"},
      {{4, 4}, {layer("gru")}, "expected hidden >= 1"},
      {{4, 6}, {layer("attention", {.heads = 4})}, "heads 4 must divide the width 6"},
      {{4, 6}, {layer("attention", {.heads = 0})}, "expected heads >= 1"},
  });
}

}  // namespace
}  // namespace coppice
