#include "deploy/block_prune.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "deploy/lower.h"
#include "deploy/runtime/layout.h"
#include "tests/core/thrown.h"
#include "tests/deploy/zoo_models.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

TEST(BlockPruneTest, KeepsTheLargestBlocksOfEveryProductOfIntegers) {
  Checkpoint checkpoint = checkpoint_of(zoo("lenet5", {1, 28, 28}));
  quantize(checkpoint, random_samples(checkpoint.graph, 2), 8);
  const std::vector<float> before = checkpoint.parameters;
  keep_largest_blocks(checkpoint, 0.25);
  const runtime::Program program = lower(checkpoint);
  const runtime::Inference inference = infer(program);
  for (const runtime::Node& node : program.nodes) {
    if (inference.counts(node).row == 0) continue;
    const runtime::ProductShape shape = product_shape(node, inference);
    const double density = block_density(node.weights, shape);
    if (shape.depth < 4) {
      EXPECT_EQ(density, 1.0) << node.name;
    } else {
      EXPECT_LE(density, 0.25) << node.name;
      EXPECT_GE(density, 0.15) << node.name;  // rounded down, and some blocks become codes of zero
    }
  }
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(checkpoint.parameters[i] == 0.0F || checkpoint.parameters[i] == before[i]);
}

// Blocks of an 8 x 8 matrix: magnitudes 16, 32, 48 and 64.
TEST(BlockPruneTest, TheSmallestGoFirst) {
  LayerSpec matrix;
  matrix.op = "linear";
  matrix.attributes.out = 8;
  matrix.attributes.bias = false;
  Checkpoint checkpoint = checkpoint_of(Graph::build(numbers({8}), {matrix}));
  const auto size_of_block = [](std::size_t i) {
    const std::size_t block = i / 8 / 4 * 2 + i % 8 / 4;
    return static_cast<float>(block + 1);
  };
  for (std::size_t i = 0; i < 64; ++i)
    checkpoint.parameters[i] = (i % 2 == 0 ? 1.0F : -1.0F) * size_of_block(i);
  quantize(checkpoint, random_samples(checkpoint.graph, 2), 8);
  keep_largest_blocks(checkpoint, 0.5);
  for (std::size_t i = 0; i < 64; ++i)
    EXPECT_EQ(checkpoint.parameters[i] != 0.0F, size_of_block(i) > 2.5F) << i;
}

TEST(BlockPruneTest, AShareThatIsNoneIsRefused) {
  Checkpoint checkpoint = checkpoint_of(zoo("lenet5", {1, 28, 28}));
  for (const double density : {0.0, -1.0, 1.5})
    EXPECT_TRUE(
        contains(thrown_text<ConfigError>([&] { keep_largest_blocks(checkpoint, density); }),
                 "expected a share above 0 and up to 1"));
}

}  // namespace
}  // namespace coppice
