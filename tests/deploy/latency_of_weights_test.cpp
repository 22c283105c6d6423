// What a choice of weights is said to take is what the table says of the file that comes of it.
#include "deploy/latency_of_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "algorithms/block_axes.h"
#include "algorithms/sensitivity.h"
#include "core/coupling.h"
#include "deploy/layout_choice.h"
#include "tests/core/thrown.h"
#include "tests/deploy/made_up_table.h"
#include "tests/deploy/zoo_models.h"

namespace coppice {
namespace {

std::span<float> weights_of(Checkpoint& checkpoint, const std::string& name) {
  const auto index = static_cast<std::size_t>(checkpoint.graph.parameter_named(name));
  const ParameterSpec& spec = checkpoint.graph.parameters()[index];
  return std::span(checkpoint.parameters)
      .subspan(static_cast<std::size_t>(spec.offset), static_cast<std::size_t>(spec.size()));
}

ParameterSpec blocked_spec(const Graph& graph, const std::string& name) {
  return with_block_axes(graph,
                         graph.parameters()[static_cast<std::size_t>(graph.parameter_named(name))]);
}

// A flattened colour image, and one behind a pool and a relu.
Graph colours_flattened() {
  LayerSpec convolution{.op = "conv2d", .name = "conv", .inputs = {}, .attributes = {}};
  convolution.attributes.out = 6;
  convolution.attributes.kernel = {3, 3};
  return Graph::build(numbers({3, 8, 8}), {convolution,
                                           {"max_pool2d", "pool", {}, {.kernel = {2, 2}}},
                                           {"flatten", "flat", {}, {}},
                                           {"relu", "relu", {}, {}},
                                           {"linear", "out", {}, {.out = 5}}});
}

std::vector<Graph> graphs() {
  ModelConfig mlp;
  mlp.name = "mlp";
  mlp.hidden = {12, 8};
  return {zoo("lenet5", {1, 28, 28}), zoo("resnet20", {1, 28, 28}), colours_flattened(),
          make_model(mlp, {.input = numbers({3, 6, 6})}),
          make_model(mlp, {.input = numbers({1, 6, 6})})};
}

// A mask by the graph alone has exactly as many blocks as the runtime finds in the codes.
TEST(BlockAxesTest, BlocksOfTheGraphAreThoseOfTheRuntime) {
  for (const Graph& graph : graphs()) {
    for (const double density : {0.3, 0.6}) {
      Checkpoint checkpoint = in_integers(graph);
      for (const std::string& name : quantized_parameters(graph)) {
        const std::span<float> values = weights_of(checkpoint, name);
        kept_blocks(blocked_spec(graph, name), values, density).apply(values);
      }
      checkpoint.plan.weights = weight_grids(graph, checkpoint.parameters, 8);
      const runtime::Program program = lower_in_rows(checkpoint);
      const runtime::Inference inference = infer(program);
      for (const runtime::Node& node : program.nodes) {
        if (inference.counts(node).row == 0) continue;
        const runtime::ProductShape shape = product_shape(node, inference);
        ASSERT_TRUE(may_be_blocks(shape)) << node.name;
        const std::int64_t blocks = (shape.out + 3) / 4 * block_count(shape);
        const auto all = static_cast<double>(blocks);
        EXPECT_DOUBLE_EQ(block_density(node.weights, shape),
                         std::max(1.0, std::round(density * all)) / all)
            << node.name << " of " << graph.nodes().size() << " nodes, " << density;
      }
    }
  }
}

TEST(BlockAxesTest, OnlyAFlattenedImageOfChannelsHasOtherAxesThanItsWeight) {
  EXPECT_EQ(blocked_spec(colours_flattened(), "out.weight").shape, (Shape{5, 6, 3, 3}));
  EXPECT_EQ(blocked_spec(colours_flattened(), "conv.weight").shape, (Shape{6, 3, 3, 3}));
  EXPECT_EQ(blocked_spec(colours_flattened(), "out.bias").shape, (Shape{5}));
  const Graph lenet = zoo("lenet5", {1, 28, 28});
  EXPECT_EQ(blocked_spec(lenet, "fc1.weight").size(),
            blocked_spec(lenet, "fc1.weight").shape[0] * 16 * 4 * 4);
  EXPECT_EQ(blocked_spec(lenet, "fc2.weight").shape.size(), 2U);
}

class WeightTimesTest : public testing::Test {
 protected:
  double of(const std::string& name, std::span<const float> values, int bits) const {
    const auto at = std::ranges::find(names_, name) - names_.begin();
    return times_.microseconds(static_cast<std::size_t>(at), values, bits);
  }

  Graph graph_ = zoo("lenet5", {1, 28, 28});
  LatencyTable table_ = made_up_table(graph_);
  std::vector<std::string> names_ = quantized_parameters(graph_);
  WeightTimes times_{graph_, names_, table_};
};

TEST_F(WeightTimesTest, WidthsAreThoseThatTheRuntimeMultiplies) {
  Checkpoint checkpoint = in_integers(graph_);
  const std::span<const float> dense = weights_of(checkpoint, "fc2.weight");
  const ParameterSpec spec = blocked_spec(graph_, "fc2.weight");
  for (const int bits : {2, 3, 4, 6, 7, 8}) {
    const double us = dense_us(spec.shape[1], spec.shape[0], bits <= 4 ? 4 : 8);
    const double in_blocks = blocks_us(spec.shape[1], spec.shape[0], 1.0);
    EXPECT_DOUBLE_EQ(of("fc2.weight", dense, bits), std::min(us, in_blocks)) << bits;
  }
}

TEST_F(WeightTimesTest, BlocksCostWhatTheyHoldAndSingleWeightsNothingLess) {
  Checkpoint checkpoint = in_integers(graph_);
  const ParameterSpec spec = blocked_spec(graph_, "fc2.weight");
  const std::span<const float> dense = weights_of(checkpoint, "fc2.weight");
  std::vector<float> half(dense.begin(), dense.end());
  kept_blocks(spec, dense, 0.5).apply(half);
  const std::int64_t all = (spec.shape[0] + 3) / 4 * ((spec.shape[1] + 3) / 4);
  const double share = std::round(0.5 * static_cast<double>(all)) / static_cast<double>(all);
  EXPECT_DOUBLE_EQ(of("fc2.weight", half, 8), blocks_us(spec.shape[1], spec.shape[0], share));
  std::vector<float> scattered(dense.begin(), dense.end());
  for (std::size_t i = 0; i < scattered.size(); ++i) {
    if (i % 4 != 0) scattered[i] = 0.0F;
  }
  EXPECT_DOUBLE_EQ(of("fc2.weight", scattered, 8), of("fc2.weight", dense, 8));
}

// Whatever is masked, and at whatever bits: layers and the rest add up to the finished file's time.
TEST_F(WeightTimesTest, AddUpToThePredictionOfTheProgram) {
  Checkpoint checkpoint = in_integers(graph_);
  const std::vector<int> bits{8, 4, 6, 3, 8};
  const double densities[] = {1.0, 0.4, 0.2, 0.3, 0.7};
  ASSERT_EQ(names_.size(), bits.size());
  double sum = times_.other_microseconds();
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const std::span<float> values = weights_of(checkpoint, names_[i]);
    kept_blocks(blocked_spec(graph_, names_[i]), values, densities[i]).apply(values);
  }
  checkpoint.plan.weights = weight_grids(graph_, checkpoint.parameters, bits);
  for (std::size_t i = 0; i < names_.size(); ++i)
    sum += times_.microseconds(i, weights_of(checkpoint, names_[i]), bits[i]);
  const runtime::Program program = with_chosen_layouts(lower_in_rows(checkpoint), &table_);
  EXPECT_NEAR(table_.predict(program), sum, 1e-3);  // layouts are chosen by rounded shares
  EXPECT_LT(sum, table_.predict(lower_in_rows(in_integers(graph_))));
}

// A layer of fewer output channels takes what it takes in the network without them; those who read
// it take no longer there.
TEST_F(WeightTimesTest, NarrowerWeightsTakeTheTimeOfTheNarrowerNetwork) {
  const LatencyTable table = made_up_table(graph_, 1);
  const WeightTimes dense(graph_, names_, table);
  const Coupling coupling = couple(graph_);
  for (std::size_t i = 0; i + 1 < names_.size(); ++i) {
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
    const std::string layer = names_[i].substr(0, names_[i].find('.'));
    const CouplingGroup& group = *std::ranges::find(coupling.groups, layer, &CouplingGroup::name);
    for (std::size_t unit = 0; unit < group.units.size() / 2; ++unit)
      keep[static_cast<std::size_t>(group.units[unit])] = 0;
    const Shrunk shrunk = shrink(graph_, coupling, keep);
    const WeightTimes narrow(shrunk.graph, names_, table);
    const ParameterSpec spec = blocked_spec(shrunk.graph, names_[i]);
    std::vector<float> values(static_cast<std::size_t>(spec.size()), 1.0F);
    for (const double density : {1.0, 0.25}) {
      kept_blocks(spec, values, density).apply(values);
      EXPECT_DOUBLE_EQ(dense.microseconds(i, values, 8), narrow.microseconds(i, values, 8));
    }
    // In both: the pools, or the relu, behind it.
    EXPECT_DOUBLE_EQ(dense.follower_microseconds(i, spec.shape[0]),
                     narrow.follower_microseconds(i, spec.shape[0]));
    Checkpoint checkpoint = in_integers(graph_);
    const std::span<float> all = weights_of(checkpoint, names_[i]);
    EXPECT_LT(dense.microseconds(i, values, 8), dense.microseconds(i, all, 8)) << names_[i];
    const ParameterSpec reader = blocked_spec(shrunk.graph, names_[i + 1]);
    const std::vector<float> read(static_cast<std::size_t>(reader.size()), 1.0F);
    EXPECT_LE(narrow.microseconds(i + 1, read, 8),
              dense.microseconds(i + 1, weights_of(checkpoint, names_[i + 1]), 8));
  }
}

// A norm and what is behind it is the convolution's alone; a sum of two is nobody's.
TEST(WeightTimesFollowersTest, AreThoseThatTheWidthAloneDecidesOn) {
  const Graph graph = zoo("resnet20", {1, 28, 28});
  const LatencyTable table = made_up_table(graph, 1);
  const std::vector<std::string> names{"stage1.block1.conv1.weight", "stage1.block1.conv2.weight",
                                       "classifier.weight"};
  const WeightTimes times(graph, names, table);
  const double between = times.follower_microseconds(0, 16);
  EXPECT_GE(between, kOtherUs);
  EXPECT_LE(between, 2 * kOtherUs);
  EXPECT_DOUBLE_EQ(times.follower_microseconds(0, 8), between / 2);
  EXPECT_LE(times.follower_microseconds(1, 16), kOtherUs);
  EXPECT_EQ(times.follower_microseconds(2, 10), 0.0);
}

TEST_F(WeightTimesTest, WhatTheTableOrTheGraphDoesNotHaveIsRefused) {
  const std::vector<std::string> wrong{"fc9.weight"};
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { WeightTimes(graph_, wrong, table_); }),
                       "no conv2d or linear that takes time reads 'fc9.weight'"));
  const Graph other = zoo("resnet20", {1, 28, 28});
  EXPECT_TRUE(contains(
      thrown_text<ConfigError>([&] { WeightTimes(other, quantized_parameters(other), table_); }),
      "latency table: node '"));
  for (LatencyEntry& entry : table_.entries)
    std::erase_if(entry.grids, [](const LatencyGrid& grid) { return grid.bits == 4; });
  Checkpoint checkpoint = in_integers(graph_);
  EXPECT_TRUE(contains(thrown_text<ConfigError>(
                           [&] { times_.microseconds(0, weights_of(checkpoint, names_[0]), 3); }),
                       "no weights of 4 bits"));
}

}  // namespace
}  // namespace coppice
