// Fake quantization through the executor's interface: forward, straight-through gradients,
// refusals.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "core/error.h"
#include "core/parameter_arena.h"
#include "models/executor.h"
#include "models/zoo.h"
#include "tests/models/executors.h"
#include "tests/models/grids.h"
#include "tests/models/input_specs.h"
#include "tests/models/sample_arrays.h"

namespace coppice {
namespace {

class QuantTrainingTest : public EveryExecutor {};
COPPICE_EVERY_EXECUTOR(QuantTrainingTest);

// 1 -> hidden 2 -> out 2 without biases: parameters h0, h1, then out row by row.
Graph tiny_graph() {
  return Graph::build(numbers({1}), {{"linear", "hidden", {}, {.out = 2, .bias = false}},
                                     {"linear", "out", {}, {.out = 2, .bias = false}}});
}

using Weights = std::array<double, 6>;

// The first hidden value and weight out.0 are inside their ranges, the second hidden value is below
// and the weight out.1 above.
constexpr Weights kWeights = {0.4, -3.0, 0.3, 2.0, -0.7, 1.2};

const QuantPlan& tiny_plan() {
  static const QuantPlan plan{
      .weights = {{.parameter = "hidden.weight", .bits = 8, .scales = {0.125F, 0.125F}},
                  {.parameter = "out.weight", .bits = 4, .scales = {0.25F, 0.25F}}},
      .activations = {{.node = "hidden", .scale = 0.25F, .zero_point = 4}}};
  return plan;
}

std::vector<float> floats(const Weights& weights) {
  std::vector<float> out;
  for (const double w : weights) out.push_back(static_cast<float>(w));
  return out;
}

// How the network reads a weight and a hidden value.
struct Reading {
  std::function<double(std::size_t index, double w)> weight;
  std::function<double(std::size_t index, double h)> hidden;
};

double scale_of(std::size_t index) { return index < 2 ? 0.125 : 0.25; }
int bits_of(std::size_t index) { return index < 2 ? 8 : 4; }

Reading quantized_reading() {
  return {.weight = [](std::size_t i, double w) { return on_grid(w, scale_of(i), bits_of(i)); },
          .hidden = [](std::size_t, double h) { return on_grid(h, tiny_plan().activations[0]); }};
}

// Logits for x = 1.
std::array<double, 2> logits(const Weights& w, const Reading& read) {
  const double h0 = read.hidden(0, read.weight(0, w[0]));
  const double h1 = read.hidden(1, read.weight(1, w[1]));
  return {read.weight(2, w[2]) * h0 + read.weight(3, w[3]) * h1,
          read.weight(4, w[4]) * h0 + read.weight(5, w[5]) * h1};
}

double loss_of_class_0(const std::array<double, 2>& z) { return std::log1p(std::exp(z[1] - z[0])); }

TEST_P(QuantTrainingTest, ForwardOfALinearNetIsItsClosedForm) {
  const auto executor = QuantTrainingTest::make(tiny_graph());
  const std::vector<float> weights = floats(kWeights);
  const auto expected = logits(kWeights, quantized_reading());
  const auto got = executor->infer({weights, &tiny_plan()}, std::vector{1.0F});
  EXPECT_EQ(got[0], static_cast<float>(expected[0]));
  EXPECT_EQ(got[1], static_cast<float>(expected[1]));
  // By hand: hidden codes 3 and -24 give 0.375 and -3, on the node's grid 0.5 (1.5 to even) and -1
  // (saturated); out is 0.25, 1.75 and -0.75, 1.25.
  EXPECT_EQ(got[0], 0.25F * 0.5F - 1.75F);
  EXPECT_EQ(got[1], -0.75F * 0.5F - 1.25F);
}

// Around the point w, the surrogate reads clamp(v) where the network reads code(v): plus the
// constant that makes both agree at the point.
Reading surrogate_at(const Weights& point) {
  const Reading network = quantized_reading();
  const auto passing_weight = [](std::size_t i, double w) {
    const double bound = scale_of(i) * (weight_limit(bits_of(i)) + 0.5);
    return std::clamp(w, -bound, bound);
  };
  const auto passing_hidden = [](double h) { return std::clamp(h, -0.25 * 4.5, 0.25 * 251.5); };
  std::array<double, 2> hidden{};
  for (std::size_t i = 0; i < 2; ++i) hidden[i] = network.weight(i, point[i]);
  return {.weight =
              [=](std::size_t i, double w) {
                return network.weight(i, point[i]) + passing_weight(i, w) -
                       passing_weight(i, point[i]);
              },
          .hidden =
              [=](std::size_t i, double h) {
                return network.hidden(i, hidden[i]) + passing_hidden(h) - passing_hidden(hidden[i]);
              }};
}

TEST_P(QuantTrainingTest, GradientIsThatOfTheStraightThroughSurrogate) {
  const auto executor = QuantTrainingTest::make(tiny_graph());
  const SampleArrays data({1.0F}, {0}, 1);
  const SampleSource source = data.source();
  LocalPlan plan;
  plan.optimizer.lr = 1.0;
  // The largest code ends at (7 + 1/2) / 4 = 1.875.
  for (const double edge : {0.3, 1.87, 1.88, -1.87, -1.88}) {
    Weights point = kWeights;
    point[2] = edge;
    const std::vector<float> global = floats(point);
    executor->train({.plan = &plan, .source = &source, .global = global, .quant = &tiny_plan()});
    const Reading surrogate = surrogate_at(point);
    for (std::size_t i = 0; i < point.size(); ++i) {
      constexpr double kStep = 1e-6;
      Weights above = point;
      Weights below = point;
      above[i] += kStep;
      below[i] -= kStep;
      const double slope =
          (loss_of_class_0(logits(above, surrogate)) - loss_of_class_0(logits(below, surrogate))) /
          (2.0 * kStep);
      const double moved = static_cast<double>(global[i] - executor->parameters()[i]);
      EXPECT_NEAR(moved, slope, 1e-6) << "edge " << edge << " parameter " << i;
    }
    EXPECT_EQ(executor->parameters()[1], global[1]);  // its node saturates
    EXPECT_EQ(executor->parameters()[3], global[3]);  // its code saturates
    EXPECT_EQ(executor->parameters()[2] == global[2], std::abs(edge) > 1.875) << edge;
  }
}

TEST_P(QuantTrainingTest, MasterWeightsMoveAlthoughCodesDoNot) {
  const auto executor = QuantTrainingTest::make(tiny_graph());
  const SampleArrays data({1.0F}, {0}, 1);
  const SampleSource source = data.source();
  LocalPlan plan;
  plan.optimizer.lr = 1e-3;
  const std::vector<float> global = floats(kWeights);
  executor->train({.plan = &plan, .source = &source, .global = global, .quant = &tiny_plan()});
  const std::vector<float> trained(executor->parameters().begin(), executor->parameters().end());
  EXPECT_NE(trained[0], global[0]);
  EXPECT_NE(trained[2], global[2]);
  const std::vector<float> sample = {1.0F};
  EXPECT_EQ(executor->infer({trained, &tiny_plan()}, sample),
            executor->infer({global, &tiny_plan()}, sample));
  EXPECT_NE(executor->infer({trained}, sample), executor->infer({global}, sample));
}

Graph lenet5() {
  ModelConfig config;
  config.name = "lenet5";
  return make_model(config, {.input = numbers({1, 28, 28}), .classes = 10});
}

// Every weight of `arena` that a grid names, by the definition.
ParameterArena dequantized(const Graph& graph, const ParameterArena& arena,
                           const std::vector<WeightQuant>& grids) {
  ParameterArena out(arena.values());
  for (const WeightQuant& quant : grids) {
    const int index = graph.parameter_named(quant.parameter);
    const std::span<float> values = out.view(graph.parameters()[static_cast<std::size_t>(index)]);
    const std::size_t row = values.size() / quant.scales.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float scale = quant.scales[i / row];
      const double code = on_grid(static_cast<double>(values[i] / scale), 1.0, quant.bits);
      values[i] = static_cast<float>(code) * scale;
    }
  }
  return out;
}

TEST_P(QuantTrainingTest, Lenet5OnItsGridsIsTheNetOfTheDequantizedWeights) {
  const Graph graph = lenet5();
  const auto executor = QuantTrainingTest::make(graph);
  const ParameterArena weights = initial_parameters(graph, 3);
  const SampleArrays data = SampleArrays::random(5, 784, 10, 4);
  for (const int bits : {8, 6, 4, 3, 2}) {
    for (const float reach : {1.0F, 0.7F}) {  // the latter saturates
      const QuantPlan plan{.weights = weight_grids(graph, weights.values(), bits, reach),
                           .activations = {}};
      const ParameterArena expected = dequantized(graph, weights, plan.weights);
      EXPECT_EQ(executor->infer({weights.values(), &plan}, data.samples()),
                executor->infer({expected.values()}, data.samples()))
          << bits << " bits, reach " << reach;
    }
  }
}

TEST_P(QuantTrainingTest, NodeOutputsLieOnTheirGrids) {
  const Graph graph = lenet5();
  const auto executor = QuantTrainingTest::make(graph);
  const ParameterArena weights = initial_parameters(graph, 3);
  const SampleArrays data = SampleArrays::random(5, 784, 10, 4);
  const QuantPlan plan{
      .weights = {}, .activations = {{.node = "conv1", .scale = 1.0F / 256.0F, .zero_point = 131}}};
  const std::vector<std::string> nodes = {"conv1"};
  std::vector<float> raw;
  executor->observe({weights.values()}, data.samples(), nodes,
                    [&](std::size_t, auto values) { raw.assign(values.begin(), values.end()); });
  std::int64_t saturated = 0;
  executor->observe({weights.values(), &plan}, data.samples(), nodes,
                    [&](std::size_t, std::span<const float> values) {
                      ASSERT_EQ(values.size(), raw.size());
                      const ActivationQuant& quant = plan.activations[0];
                      for (std::size_t i = 0; i < raw.size(); ++i) {
                        const double expected = on_grid(static_cast<double>(raw[i]), quant);
                        ASSERT_EQ(static_cast<double>(values[i]), expected) << i;
                        if (expected == -131.0 / 256.0 || expected == 124.0 / 256.0) ++saturated;
                      }
                    });
  EXPECT_GT(saturated, 0);
  EXPECT_LT(saturated, static_cast<std::int64_t>(raw.size()) / 2);
}

TEST_P(QuantTrainingTest, EmbeddingTablesAreReadOnTheirGrid) {
  const auto executor = QuantTrainingTest::make(
      Graph::build(ids(2, 2), {{"embedding", "table", {}, {.out = 2, .vocabulary = 2}}}));
  const QuantPlan plan{
      .weights = {{.parameter = "table.weight", .bits = 4, .scales = {0.5F, 0.125F}}},
      .activations = {}};
  const std::vector<float> table = {0.7F, -9.0F, 0.2F, 0.3F};
  EXPECT_EQ(executor->infer({table, &plan}, std::vector{1.0F, 0.0F}),
            (std::vector{0.25F, 0.25F, 0.5F, -3.5F}));
}

struct Lenet5Run {
  Graph graph = lenet5();
  SampleArrays data = SampleArrays::random(24, 784, 10, 5);
  SampleSource source = data.source();
  ParameterArena global = initial_parameters(graph, 1);
  LocalPlan plan;

  Lenet5Run() {
    plan.batch_size = 16;
    plan.optimizer.momentum = 0.9;
  }
  std::vector<float> train(Executor& executor, const QuantPlan* quant) {
    executor.train({.plan = &plan, .source = &source, .global = global.values(), .quant = quant});
    return {executor.parameters().begin(), executor.parameters().end()};
  }
};

TEST_P(QuantTrainingTest, AnEmptyPlanIsNoPlan) {
  Lenet5Run run;
  const auto executor = QuantTrainingTest::make(run.graph);
  const QuantPlan empty;
  EXPECT_EQ(run.train(*executor, &empty), run.train(*executor, nullptr));
}

TEST_P(QuantTrainingTest, TheSameRequestGivesTheSameBits) {
  Lenet5Run run;
  const QuantPlan plan{.weights = weight_grids(run.graph, run.global.values(), 4),
                       .activations = {{.node = "relu1", .scale = 0.01F, .zero_point = 0},
                                       {.node = "relu3", .scale = 0.01F, .zero_point = 0}}};
  const auto executor = QuantTrainingTest::make(run.graph);
  const std::vector<float> first = run.train(*executor, &plan);
  const std::vector<float> plain = run.train(*executor, nullptr);
  EXPECT_NE(first, plain);
  executor->infer({plain, &plan}, run.data.samples());
  EXPECT_EQ(run.train(*executor, &plan), first);
  EXPECT_EQ(run.train(*QuantTrainingTest::make(run.graph), &plan), first);
}

TEST_P(QuantTrainingTest, APlanThatDoesNotFitIsAConfigError) {
  const auto executor = QuantTrainingTest::make(tiny_graph());
  const std::vector<float> weights = floats(kWeights);
  const auto expect_refused = [&](const QuantPlan& plan, const std::string& named) {
    try {
      executor->infer({weights, &plan}, std::vector{1.0F});
      ADD_FAILURE() << "accepted: " << named;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
    }
  };
  const auto weight = [](const char* name, int bits, std::vector<float> scales) {
    QuantPlan plan;
    plan.weights = {{.parameter = name, .bits = bits, .scales = std::move(scales)}};
    return plan;
  };
  const auto activation = [](const char* node, float scale, int zero_point) {
    QuantPlan plan;
    plan.activations = {{.node = node, .scale = scale, .zero_point = zero_point}};
    return plan;
  };
  expect_refused(weight("hiden.weight", 8, {1.0F, 1.0F}), "hiden.weight");
  expect_refused(weight("out.weight", 5, {1.0F, 1.0F}), "got 5");
  expect_refused(weight("out.weight", 8, {1.0F}), "got 1");
  expect_refused(weight("out.weight", 8, {1.0F, 0.0F}), "not positive");
  expect_refused(weight("out.weight", 8, {std::numeric_limits<float>::infinity(), 1.0F}),
                 "not positive");
  expect_refused(activation("hiden", 1.0F, 0), "hiden");
  expect_refused(activation("hidden", -1.0F, 0), "hidden");
  expect_refused(activation("hidden", 1.0F, 256), "256");
}

}  // namespace
}  // namespace coppice
