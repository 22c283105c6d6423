// Depthwise convolutions by strips, alone and computed together with the pointwise one behind.

#include <gtest/gtest.h>

#include <algorithm>

#include "deploy/runtime/arena_use.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/schedule.h"
#include "deploy/runtime/work.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

std::int64_t between(std::int64_t low, std::int64_t high, RandomStream& random) {
  return low +
         static_cast<std::int64_t>(random.next_below(static_cast<std::uint64_t>(high - low + 1)));
}

Grid some_grid(RandomStream& random) {
  return {0.02F + 0.04F * random.next_uniform(), static_cast<std::uint8_t>(random.next_below(256))};
}

// A depthwise convolution with any window and a pointwise one, each with or without a relu that is
// folded into it, twice.
Program chain(RandomStream& random) {
  const std::int64_t channels = between(2, 40, random);
  ProgramBuilder build({channels, between(6, 26, random), between(6, 26, random)},
                       some_grid(random));
  const auto add = [&](Node node) {
    const bool has_relu = random.next_below(2) == 0;
    if (!has_relu) node.grid = some_grid(random);
    build.add_product(node, random.next_below(3) == 0 ? 4 : 8, random);
    if (has_relu) build.add(random.next_below(2) == 0 ? Op::relu : Op::relu6, some_grid(random));
  };
  for (std::int64_t before = channels, layer = 0; layer < 2; ++layer) {
    Node depthwise = convolution(before, between(1, 5, random), 1, between(0, 2, random), before);
    depthwise.kernel[1] = between(1, 3, random);
    depthwise.stride = {between(1, layer == 0 ? 3 : 1, random), between(1, 2, random)};
    depthwise.padding = {depthwise.kernel[0] / 2 + between(0, 1, random), 1};
    add(depthwise);
    before = between(1, 40, random);
    add(convolution(before, 1));
  }
  build.add(Op::global_avg_pool, some_grid(random));
  build.add_product(linear(5), 8, random);
  return build.take();
}

std::vector<float> run(Engine& engine, const std::vector<float>& sample) {
  std::vector<float> logits(static_cast<std::size_t>(engine.logit_count()));
  engine.run(sample, logits);
  return logits;
}

std::int64_t fused_nodes(const Program& program) {
  const Schedule schedule = make_schedule(program, infer(program), true, Folding::kAll);
  return std::ranges::count_if(schedule.fused_into, [](int with) { return with >= 0; });
}

TEST(EngineDepthwiseTest, ChainsAreTheInterpretersOnEveryInstructionSet) {
  for (const kernels::IntegerKernels* kernels : kernels::all_integer_kernels()) {
    std::int64_t fused = 0;
    for (std::int64_t seed = 0; seed < 150; ++seed) {
      RandomStream random({.task = seed});
      Program program = chain(random);
      fused += fused_nodes(program);
      if (seed % 3 == 0) program = in_blocks(with_empty_blocks(std::move(program), random));
      Engine engine(program, *kernels);
      const std::vector<float> sample = random_sample(engine.sample_size(), seed);
      const std::vector<float> expected = outputs(program, sample);
      ASSERT_EQ(run(engine, sample), expected) << kernels->isa << ", seed " << seed;
      for (const std::int64_t threads : {3, 2}) {
        engine.set_threads(threads, 0);
        ASSERT_EQ(run(engine, sample), expected) << kernels->isa << ", seed " << seed;
      }
      Engine copy = engine;
      ASSERT_EQ(run(copy, sample), expected) << kernels->isa << ", seed " << seed;
    }
    EXPECT_GT(fused, 25);  // of 300; the others take less memory apart
    EXPECT_LT(fused, 275);
  }
}

TEST(EngineDepthwiseTest, ARunWritesWhatItReads) {
  for (std::int64_t seed = 0; seed < 50; ++seed) {
    RandomStream random({.seed = 1, .task = seed});
    Engine engine(chain(random));
    const ArenaUse use = arena_use(engine, random_sample(engine.sample_size(), seed));
    EXPECT_LE(use.high_water_bytes, use.planned_bytes);
  }
}

// A depthwise convolution of 64 channels; what reads it is added behind.
struct Depthwise64 {
  Depthwise64() : build({64, 28, 28}, grid) {
    depthwise = build.add_product(on(convolution(64, 3, 1, 1, 64), grid), 8, random);
  }
  std::int32_t add_pointwise(Node node) {
    return build.add_product(on(std::move(node), grid), 8, random);
  }
  Program take() {
    build.add(Op::global_avg_pool);
    return build.take();
  }

  const Grid grid{0.05F, 100};
  RandomStream random{RandomKey{.task = 2}};
  ProgramBuilder build;
  std::int32_t depthwise = 0;
};

TEST(EngineDepthwiseTest, WhatLiesBetweenTakesNoImageInTheArena) {
  Depthwise64 both;
  both.add_pointwise(convolution(64, 1));
  const Program program = both.take();
  const std::int64_t image = 64 * 28 * 28;
  Engine engine(program);
  // Input, output and strips; apart there would be four, of which two are an operand.
  EXPECT_GE(engine.peak_activation_bytes(), 2 * image);
  EXPECT_LT(engine.peak_activation_bytes(), 3 * image);
  const std::int64_t alone = engine.peak_activation_bytes();
  engine.set_threads(3);
  EXPECT_GT(engine.peak_activation_bytes(), alone);
  EXPECT_LT(engine.peak_activation_bytes(), 5 * image);
  engine.set_threads(1);
  EXPECT_EQ(engine.peak_activation_bytes(), alone);
}

TEST(EngineDepthwiseTest, WorkAndTimeAreThoseOfThePointwiseConvolution) {
  Depthwise64 both;
  const auto pointwise = static_cast<std::size_t>(both.add_pointwise(convolution(32, 1)));
  const auto depthwise = static_cast<std::size_t>(both.depthwise);
  const Program program = both.take();
  const std::vector<NodeWork> work = work_by_node(program);
  EXPECT_TRUE(work[depthwise].is_folded);
  EXPECT_EQ(work[depthwise].multiply_adds, 0);
  EXPECT_FALSE(work[pointwise].is_folded);
  EXPECT_EQ(work[pointwise].multiply_adds, 28 * 28 * 64 * (9 + 32));
  EXPECT_EQ(work[pointwise].bytes, 64 * (9 + 8) + 32 * (64 + 8) + 28 * 28 * (64 + 32));
  Engine engine(program);
  const std::vector<NodeTime> times = engine.profile(random_sample(engine.sample_size(), 1), 3);
  EXPECT_EQ(times[depthwise].microseconds, 0.0);
  EXPECT_GT(times[pointwise].microseconds, 0.0);
}

TEST(EngineDepthwiseTest, OnlyAPointwiseConvolutionThatAloneReadsItIsFused) {
  const auto expect_unfused = [](const Program& program) {
    EXPECT_EQ(fused_nodes(program), 0);
    Engine engine(program);
    const std::vector<float> sample = random_sample(engine.sample_size(), 3);
    EXPECT_EQ(run(engine, sample), outputs(program, sample));
  };
  Depthwise64 read_twice;
  const std::int32_t pointwise = read_twice.add_pointwise(convolution(64, 1));
  read_twice.build.add(Op::add, read_twice.grid, {read_twice.depthwise, pointwise});
  expect_unfused(read_twice.take());
  for (const Node& node : {convolution(8, 3), convolution(8, 1, 2), convolution(8, 1, 1, 1),
                           convolution(8, 1, 1, 0, 4)}) {
    Depthwise64 other;
    other.add_pointwise(node);
    expect_unfused(other.take());
  }
  Depthwise64 last;
  expect_unfused(last.build.take());
}

}  // namespace
}  // namespace coppice::runtime
