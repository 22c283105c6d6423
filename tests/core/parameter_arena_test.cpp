#include "core/parameter_arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tests/models/input_specs.h"

namespace coppice {
namespace {

LayerSpec layer(const char* op, const Attributes& attributes) { return {op, "", {}, attributes}; }

Graph small() {
  return Graph::build(numbers({8, 5, 5}),
                      {layer("conv2d", {.out = 16, .kernel = {3, 3}}), layer("group_norm", {}),
                       layer("flatten", {}), layer("linear", {.out = 50})});
}

Graph table(std::int64_t vocabulary) {
  return Graph::build(numbers({4}), {layer("embedding", {.out = 32, .vocabulary = vocabulary})});
}

TEST(ParameterArenaTest, MemoryIsAlignedAndZeroAtFirst) {
  for (const std::size_t size : {1U, 7U, 1000U}) {
    const AlignedBuffer buffer(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    EXPECT_TRUE(std::ranges::all_of(buffer.span(), [](float v) { return v == 0.0F; }));
  }
  EXPECT_EQ(AlignedBuffer().size(), 0U);
  EXPECT_EQ(AlignedBuffer(0).span().size(), 0U);
}

TEST(ParameterArenaTest, CopiesAreDeepAndMovesTakeTheMemory) {
  AlignedBuffer first(3);
  first.span()[1] = 5.0F;
  AlignedBuffer copy = first;
  copy.span()[1] = 6.0F;
  EXPECT_EQ(first.span()[1], 5.0F);
  const float* memory = copy.data();
  const AlignedBuffer moved = std::move(copy);
  EXPECT_EQ(moved.data(), memory);
  first = moved;
  EXPECT_EQ(first.span()[1], 6.0F);
  EXPECT_NE(first.data(), memory);
}

TEST(ParameterArenaTest, ViewsCoverTheArenaWithoutOverlap) {
  const Graph graph = small();
  ParameterArena arena(graph);
  float value = 1.0F;
  for (const ParameterSpec& parameter : graph.parameters())
    std::ranges::fill(arena.view(parameter), value++);
  EXPECT_EQ(arena.size(), graph.parameter_count());
  std::vector<std::int64_t> counts(graph.parameters().size() + 1);
  for (const float v : arena.values()) ++counts.at(static_cast<std::size_t>(v));
  EXPECT_EQ(counts[0], 0);
  for (std::size_t i = 0; i < graph.parameters().size(); ++i)
    EXPECT_EQ(counts[i + 1], graph.parameters()[i].size());
}

TEST(ParameterArenaTest, InitialWeightsAreAFunctionOfSeedAndIndex) {
  const ParameterArena one = initial_parameters(small(), 5);
  EXPECT_TRUE(std::ranges::equal(one.values(), initial_parameters(small(), 5).values()));
  EXPECT_FALSE(std::ranges::equal(one.values(), initial_parameters(small(), 6).values()));
  // A larger table begins with the smaller one: values depend on the parameter's index, not on its
  // offset or size.
  const ParameterArena few = initial_parameters(table(10), 5);
  const ParameterArena many = initial_parameters(table(20), 5);
  EXPECT_TRUE(std::ranges::equal(few.values(), many.values().first(few.values().size())));
}

TEST(ParameterArenaTest, InitialWeightsHaveTheirInitializersDistribution) {
  const Graph graph = small();
  const ParameterArena arena = initial_parameters(graph, 1);
  const auto view = [&](const char* name) {
    return arena.view(graph.parameters().at(static_cast<std::size_t>(graph.parameter_named(name))));
  };
  const float bound = 1.0F / std::sqrt(72.0F);  // fan_in 8 * 3 * 3
  const auto weights = view("conv2d1.weight");
  EXPECT_GT(*std::ranges::max_element(weights), 0.95F * bound);
  EXPECT_LT(*std::ranges::min_element(weights), -0.95F * bound);
  for (const float v : weights) ASSERT_LE(std::abs(v), bound);
  for (const float v : view("conv2d1.bias")) EXPECT_LE(std::abs(v), bound);
  for (const float v : view("group_norm1.weight")) EXPECT_EQ(v, 1.0F);
  for (const float v : view("group_norm1.bias")) EXPECT_EQ(v, 0.0F);
  const ParameterArena normal = initial_parameters(table(1000), 1);
  double squares = 0.0;
  for (const float v : normal.values())
    squares += double{v} * double{v} / static_cast<double>(normal.size());
  EXPECT_NEAR(std::sqrt(squares), 0.02, 0.02 * 5.0 / std::sqrt(2.0 * 32'000));
}

}  // namespace
}  // namespace coppice
