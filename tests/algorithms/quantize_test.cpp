#include "algorithms/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

using Names = std::vector<std::string>;

ParameterSpec spec(Shape shape) { return {.name = "w", .shape = std::move(shape)}; }

LayerSpec layer(const char* op, const char* name, const Attributes& attributes = {},
                std::vector<std::string> inputs = {}) {
  return {op, name, std::move(inputs), attributes};
}

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  RandomStream stream({.seed = seed});
  std::vector<float> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<float>(stream.next_normal()));
  return out;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i)
    error += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
  return error;
}

TEST(QuantizeTest, GridsStandAtTheEndOfChains) {
  const Graph graph = Graph::build(
      numbers({1, 8, 8}),
      {layer("normalize", "norm"), layer("conv2d", "conv", {.out = 8, .kernel = {3, 3}}),
       layer("group_norm", "gn"), layer("relu", "relu"),
       layer("max_pool2d", "pool", {.kernel = {2, 2}}), layer("flatten", "flat"),
       layer("linear", "hidden", {.out = 4}), layer("tanh", "tanh"), layer("dropout", "drop"),
       layer("linear", "out", {.out = 3})});
  EXPECT_EQ(quantized_nodes(graph), (Names{"norm", "relu", "tanh"}));
  EXPECT_EQ(quantized_parameters(graph), (Names{"conv.weight", "hidden.weight", "out.weight"}));
  const QuantPlan plan{.weights = {}, .activations = {{"relu", 0.5F, 3}}};
  EXPECT_EQ(grid_of(graph, plan, graph.node_named("flat")), &plan.activations[0]);
  EXPECT_EQ(grid_of(graph, plan, graph.node_named("tanh")), nullptr);
}

TEST(QuantizeTest, ResidualBranchesEachHaveAGrid) {
  const Graph graph = Graph::build(
      numbers({2, 4, 4}),
      {layer("conv2d", "a", {.out = 2}), layer("relu", "r"), layer("conv2d", "b", {.out = 2}),
       layer("add", "sum", {}, {"b", "r"}), layer("relu", "s"), layer("global_avg_pool", "gap"),
       layer("linear", "out", {.out = 3})});
  EXPECT_EQ(quantized_nodes(graph), (Names{"input", "r", "b", "s", "gap"}));
}

TEST(QuantizeTest, TransformersKeepTheirStreamInFloat) {
  const Graph graph = Graph::build(
      {.shape = {6}, .type = ElementType::kInt32, .labels_per_sample = 6, .label_names = {}},
      {layer("embedding", "emb", {.out = 8, .vocabulary = 5}), layer("layer_norm", "ln"),
       layer("attention", "att", {.heads = 2}), layer("add", "sum", {}, {"att", "emb"}),
       layer("layer_norm", "ln2"), layer("linear", "up", {.out = 16}), layer("gelu", "gelu"),
       layer("linear", "down", {.out = 5})});
  EXPECT_EQ(quantized_nodes(graph), (Names{"ln2", "gelu"}));
  EXPECT_EQ(quantized_parameters(graph), (Names{"emb.weight", "up.weight", "down.weight"}));
}

TEST(QuantizeTest, EightBitScalesPutTheLargestWeightOnTheLastCode) {
  const std::vector<float> values{1.27F, -0.5F, 0.0F, 0.25F, -2.54F, 0.02F};
  const WeightQuant quant = weight_quant(spec({2, 3}), values, 8);
  EXPECT_EQ(quant.scales[0], short_scale(0.01F));
  EXPECT_EQ(quant.scales[1], short_scale(0.02F));
  EXPECT_EQ(weight_codes(values, quant), (std::vector<std::int8_t>{127, -50, 0, 13, -127, 1}));
}

// Codes of 8 unsigned bits times these, two at a time, stay within 16 bits.
TEST(QuantizeTest, SevenBitsCannotSaturateASumOfTwoProducts) {
  const std::vector<float> values = normals(512, 5);
  const WeightQuant quant = weight_quant(spec({4, 128}), values, 7);
  std::vector<std::int8_t> largest(4);
  const std::vector<std::int8_t> codes = weight_codes(values, quant);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    std::int8_t& one = largest[i / 128];
    one = std::max(one, static_cast<std::int8_t>(std::abs(codes[i])));
  }
  EXPECT_EQ(largest, (std::vector<std::int8_t>(4, 63)));
  EXPECT_LE(2 * 255 * largest_code(7), 32'767);
  EXPECT_GT(2 * 255 * largest_code(8), 32'767);
  EXPECT_EQ(stored_bits(7), 8);
  EXPECT_EQ(multiplied_bits(7), 8);
}

TEST(QuantizeTest, HalvesRoundToEven) {
  const WeightQuant quant{.parameter = "w", .bits = 8, .scales = {1.0F}};
  const std::vector<float> values{0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 300.0F, -300.0F};
  EXPECT_EQ(weight_codes(values, quant), (std::vector<std::int8_t>{0, 2, 2, 0, -2, 127, -127}));
}

TEST(QuantizeTest, FourBitsClipWhereThatIsBetterThanTheLargestMagnitude) {
  const std::vector<float> values = normals(512, 3);
  const WeightQuant quant = weight_quant(spec({2, 256}), values, 4);
  WeightQuant widest = quant;
  for (std::size_t c = 0; c < 2; ++c) {
    float largest = 0.0F;
    for (std::size_t i = 0; i < 256; ++i)
      largest = std::max(largest, std::abs(values[c * 256 + i]));
    widest.scales[c] = largest / 7.0F;
    EXPECT_LT(quant.scales[c], widest.scales[c]);
  }
  std::vector<float> clipped = values;
  std::vector<float> wide = values;
  fake_quantize(clipped, quant);
  fake_quantize(wide, widest);
  EXPECT_LT(squared_error(clipped, values), squared_error(wide, values));
  for (const std::int8_t code : weight_codes(values, quant)) EXPECT_LE(std::abs(code), 7);
}

TEST(QuantizeTest, ShortScalesAreTheNearestOddOnesOfNineBits) {
  EXPECT_EQ(short_scale(1.0F), 0x1.01p0F);
  EXPECT_EQ(short_scale(0x1.01p0F), 0x1.01p0F);
  EXPECT_EQ(short_scale(0x1.01FFFEp0F), 0x1.01p0F);
  EXPECT_EQ(short_scale(0x1.02p0F), 0x1.03p0F);
  EXPECT_EQ(short_scale(1.999F), 0x1.FFp0F);
  EXPECT_EQ(short_scale(std::numeric_limits<float>::max()), 0x1.FFp127F);
  for (const float value : normals(1'000, 8)) {
    const float scale = std::abs(value) + 1e-6F;
    EXPECT_LE(std::abs(short_scale(scale) - scale), 0x1p-8F * scale);
  }
  for (const int bits : {2, 3, 4, 6, 7, 8}) {
    for (const float scale : weight_quant(spec({8, 64}), normals(512, 6), bits).scales)
      EXPECT_EQ(short_scale(scale), scale) << bits;
  }
}

// The least error of scales that are closer together than those that are tried.
double least_error(const std::vector<float>& values, int bits) {
  double least = std::numeric_limits<double>::infinity();
  for (float scale = 0.01F; scale < 5.0F; scale *= 1.003F) {
    std::vector<float> on_grid = values;
    fake_quantize(on_grid, {.parameter = "w", .bits = bits, .scales = {scale}});
    least = std::min(least, squared_error(on_grid, values));
  }
  return least;
}

TEST(QuantizeTest, FewBitsFindClippingsOfNormalAndSparseWeights) {
  for (const int bits : {2, 3, 4, 6}) {
    std::vector<float> values = normals(4'608, 9);
    for (const bool is_sparse : {false, true}) {
      if (is_sparse) {
        for (float& value : values) value = std::abs(value) < 1.3F ? 0.0F : value;
      }
      const WeightQuant quant = weight_quant(spec({1, 4'608}), values, bits);
      std::vector<float> on_grid = values;
      fake_quantize(on_grid, quant);
      EXPECT_LT(squared_error(on_grid, values), 1.01 * least_error(values, bits)) << bits;
      const std::vector<std::int8_t> codes = weight_codes(values, quant);
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_LE(std::abs(codes[i]), largest_code(bits));
        ASSERT_TRUE(values[i] != 0.0F || codes[i] == 0);
      }
    }
  }
}

TEST(QuantizeTest, EachParameterHasItsOwnBits) {
  const Graph graph = Graph::build(
      numbers({4}), {layer("linear", "a", {.out = 3}), layer("linear", "b", {.out = 2})});
  const auto count = static_cast<std::size_t>(graph.parameter_count());
  const std::vector<WeightQuant> grids =
      weight_grids(graph, normals(count, 1), std::vector<int>{6, 2});
  ASSERT_EQ(grids.size(), 2U);
  EXPECT_EQ(grids[0].bits, 6);
  EXPECT_EQ(grids[1].bits, 2);
  EXPECT_THROW(weight_grids(graph, normals(count, 1), std::vector<int>{6}), ConfigError);
}

TEST(QuantizeTest, WeightsThatAreAllZeroLeaveABiasItsGrid) {
  const std::vector<float> zeros(12, 0.0F);
  for (const int bits : {2, 4, 8}) {
    const WeightQuant quant = weight_quant(spec({3, 4}), zeros, bits);
    const std::vector<float> bias{0.2F, -3.0F, 1e-3F};
    constexpr float kInput = 0.003F;
    const std::vector<std::int32_t> codes = bias_codes(bias, kInput, quant);
    for (std::size_t c = 0; c < bias.size(); ++c)
      EXPECT_NEAR(static_cast<float>(codes[c]) * kInput * quant.scales[c], bias[c], 1e-5F);
  }
}

TEST(QuantizeTest, FakeQuantizedValuesAreCodesTimesScalesAndStayThere) {
  const std::vector<float> values = normals(60, 4);
  const WeightQuant quant = weight_quant(spec({3, 20}), values, 8);
  std::vector<float> once = values;
  fake_quantize(once, quant);
  const auto codes = weight_codes(values, quant);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(once[i], static_cast<float>(codes[i]) * quant.scales[i / 20]);
  EXPECT_EQ(weight_codes(once, quant), codes);
}

TEST(QuantizeTest, ZeroChannelsStillCarryTheirBias) {
  const std::vector<float> values{0.0F, 0.0F, 1.0F, -1.0F};
  const WeightQuant quant = weight_quant(spec({2, 2}), values, 8);
  const std::vector<std::int32_t> codes = bias_codes(std::vector{0.75F, -0.1F}, 0.02F, quant);
  for (std::size_t c = 0; c < 2; ++c) {
    const double grid = 0.02 * double{quant.scales[c]};
    EXPECT_NEAR(codes[c] * grid, c == 0 ? 0.75 : -0.1, grid);
    EXPECT_LT(grid, 1e-3);
  }
  const WeightQuant all_zero = weight_quant(spec({1, 2}), std::vector{0.0F, 0.0F}, 4);
  EXPECT_GT(all_zero.scales[0], 0.0F);
}

TEST(QuantizeTest, WhatCannotBeQuantizedIsRefused) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(contains(
      thrown_text<DataError>([&] { weight_quant(spec({1}), std::vector{nan}, 8); }), "not finite"));
  EXPECT_TRUE(contains(
      thrown_text<ConfigError>([&] { weight_quant(spec({1}), std::vector{1.0F}, 5); }), "got 5"));
  const WeightQuant fine{.parameter = "w", .bits = 8, .scales = {1e-9F}};
  EXPECT_TRUE(contains(
      thrown_text<DataError>([&] { bias_codes(std::vector{100.0F}, 1e-3F, fine); }), "31 bits"));
}

}  // namespace
}  // namespace coppice
