#include "deploy/runtime/work.h"

#include <gtest/gtest.h>

#include "deploy/runtime/arena_use.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

const NodeWork& named(const Program& program, const std::vector<NodeWork>& work,
                      std::string_view name) {
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (program.nodes[i].name == name) return work[i];
  }
  ADD_FAILURE() << name;
  return work.front();
}

TEST(WorkTest, CountsMultiplyAddsAndTheBytesOfIntegers) {
  const Program program = lenet(8, 16, 120, 84);
  const std::vector<NodeWork> work = work_by_node(program);
  ASSERT_EQ(work.size(), program.nodes.size());
  const NodeWork& conv1 = named(program, work, "conv2d2");
  EXPECT_EQ(conv1.multiply_adds, 24 * 24 * 6 * 25);
  EXPECT_TRUE(conv1.is_integer);
  // Codes, a bias and a multiplier a channel; the image; the relu's codes.
  EXPECT_EQ(conv1.bytes, 6 * 25 + 6 * 8 + 28 * 28 + 6 * 24 * 24);
  EXPECT_TRUE(named(program, work, "relu3").is_folded);
  EXPECT_EQ(named(program, work, "relu3").bytes, 0);
  const NodeWork& pool = named(program, work, "max_pool2d4");
  EXPECT_EQ(pool.multiply_adds, 0);
  EXPECT_EQ(pool.bytes, 6 * 24 * 24 + 6 * 12 * 12);
  EXPECT_EQ(named(program, work, "flatten8").bytes, 0);
  // Its logits are values.
  const NodeWork& last = work.back();
  EXPECT_EQ(last.multiply_adds, 84 * 10);
  EXPECT_EQ(last.bytes, 84 * 10 + 10 * 8 + 84 + 4 * 10);
}

TEST(WorkTest, GroupsAndValuesCount) {
  RandomStream random({.seed = 3});
  ProgramBuilder build({8, 5, 5});
  build.add_product(convolution(8, 3, 1, 1, 8), 32, random);
  const Program program = build.take();
  const NodeWork work = work_by_node(program).back();
  EXPECT_EQ(work.multiply_adds, 8 * 25 * 9);
  EXPECT_FALSE(work.is_integer);
  EXPECT_EQ(work.bytes, 4 * (8 * 9 + 8 + 2 * 8 * 25));
}

TEST(ArenaUseTest, EveryByteOfAChainIsWritten) {
  Engine engine(lenet(8, 16, 120, 84));
  const ArenaUse use = arena_use(engine, random_sample(28 * 28, 1));
  EXPECT_EQ(use.planned_bytes, engine.peak_activation_bytes());
  EXPECT_EQ(use.high_water_bytes, use.planned_bytes);
  EXPECT_EQ(use.written_bytes, use.planned_bytes);
  EXPECT_NE(model_error([&] { arena_use(engine, random_sample(3, 1)); }), "");
}

TEST(ArenaUseTest, ProgramsOfAllKindsWriteWhatTheyRead) {
  for (std::int64_t seed = 0; seed < 50; ++seed) {
    Engine engine(random_program(seed));
    const ArenaUse use = arena_use(engine, random_sample(engine.sample_size(), seed));
    EXPECT_LE(use.written_bytes, use.high_water_bytes);
    EXPECT_GE(static_cast<double>(use.high_water_bytes),
              0.95 * static_cast<double>(use.planned_bytes))
        << seed;
  }
}

}  // namespace
}  // namespace coppice::runtime
