#include "deploy/runtime/interpreter.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/thrown.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

using Values = std::vector<float>;
using Codes = std::vector<std::uint8_t>;

// Runs with all tensors kept and returns the codes of `node`.
Codes codes_of(const Program& program, const Values& sample, std::string_view node) {
  Interpreter interpreter(program, Keep::kAll);
  run_once(interpreter, sample);
  const auto codes = interpreter.codes(node);
  return {codes.begin(), codes.end()};
}

Node with_codes(Node node, std::vector<std::int8_t> codes, std::vector<float> scales,
                std::vector<std::int32_t> bias = {}) {
  node.weights = {.bits = 8, .values = {}, .codes = std::move(codes), .scales = std::move(scales)};
  node.bias_codes = std::move(bias);
  node.name = "product";
  return node;
}

// Input codes minus zero point are 1, 2, -1, 4; the kernel is 1 to 9; accumulators 45, 39, 27, 21.
Program padded_convolution(std::optional<Grid> grid) {
  ProgramBuilder build({1, 2, 2}, Grid{0.5F, 3});
  build.add(
      with_codes(on(convolution(1, 3, 1, 1), grid), {1, 2, 3, 4, 5, 6, 7, 8, 9}, {0.25F}, {5}));
  return build.take();
}
const Values kPatch{0.5F, 1.0F, -0.5F, 2.0F};

TEST(InterpreterTest, ConvolutionPadsWithZeroAndRoundsTiesToEven) {
  // (45 + 5, 39 + 5, 27 + 5, 21 + 5) / 4 = 12.5, 11, 8, 6.5
  EXPECT_EQ(codes_of(padded_convolution(Grid{0.5F, 10}), kPatch, "product"),
            (Codes{22, 21, 18, 16}));
}

TEST(InterpreterTest, ConvolutionWithoutGridGivesValues) {
  EXPECT_EQ(outputs(padded_convolution(std::nullopt), kPatch), (Values{6.25F, 5.5F, 4.0F, 3.25F}));
}

TEST(InterpreterTest, GroupsReadTheirOwnChannelsAndStridesSkip) {
  ProgramBuilder build({2, 3, 3}, Grid{1.0F, 0});
  build.add(with_codes(convolution(2, 1, 2, 0, 2), {2, -3}, {1.0F, 0.5F}));
  Values sample;
  for (int i = 0; i < 18; ++i) sample.push_back(static_cast<float>(i < 9 ? i : i + 1));
  EXPECT_EQ(outputs(build.take(), sample), (Values{0, 4, 12, 16, -15, -18, -24, -27}));
}

TEST(InterpreterTest, LinearSaturates) {
  ProgramBuilder build({2}, Grid{1.0F, 0});
  build.add(
      on(with_codes(linear(4), {127, 127, -127, 0, 0, 1, 1, -1}, {1, 1, 1, 1}), Grid{1.0F, 20}));
  EXPECT_EQ(codes_of(build.take(), {200.0F, 100.0F}, "product"), (Codes{255, 0, 120, 120}));
}

TEST(InterpreterTest, LinearReadsEveryStepOfASequence) {
  ProgramBuilder build({2, 2}, Grid{1.0F, 0});
  build.add(with_codes(linear(1), {1, 10}, {1.0F}));
  EXPECT_EQ(outputs(build.take(), {1, 2, 3, 4}), (Values{21, 43}));
}

TEST(InterpreterTest, ReluFoldsIntoTheSaturationOfItsProduct) {
  for (const auto& [op, expected] :
       {std::pair(Op::relu, Codes{7, 8, 9, 255}), std::pair(Op::relu6, Codes{7, 8, 9, 19})}) {
    ProgramBuilder build({4}, Grid{0.25F, 100});
    build.add(with_codes(linear(4), {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 127},
                         {1.0F, 1.0F, 1.0F, 1.0F}));
    build.add(op, Grid{0.5F, 7});
    const Program program = build.take();
    // -1 / 0.5 is below zero; 0.25 / 0.5 = 0.5 and 1.25 / 0.5 = 2.5 are ties, the latter + 0 = 2.
    EXPECT_EQ(codes_of(program, {-1.0F, 0.5F, 1.25F, 10.0F}, program.nodes.back().name), expected);
    Interpreter kept(program, Keep::kAll);
    EXPECT_NE(model_error([&] { kept.codes("product"); }), "");
  }
}

TEST(InterpreterTest, AddJoinsDifferentGrids) {
  ProgramBuilder build({4});
  const auto a = build.add(Op::relu, Grid{0.5F, 1}, {0});
  const auto b = build.add(Op::relu, Grid{0.25F, 2}, {0});
  const auto sum = build.add(Op::add, Grid{1.0F, 5}, {a, b});
  // 1.5 + 1.25, 0.5 + 0.5, 1.0 + 0.75, 0 + 0
  const Program program = build.take();
  EXPECT_EQ(codes_of(program, {1.3F, 0.5F, 0.75F, -1.0F},
                     program.nodes[static_cast<std::size_t>(sum)].name),
            (Codes{8, 6, 7, 5}));
}

TEST(InterpreterTest, AveragesOfCodesAreExactSums) {
  ProgramBuilder global({1, 2, 2}, Grid{0.5F, 4});
  global.add(Op::global_avg_pool);
  const Values sample{0.5F, 1.0F, 1.5F, 2.0F};
  EXPECT_EQ(outputs(global.take(), sample), (Values{1.25F}));
  ProgramBuilder padded({1, 2, 2}, Grid{0.5F, 4});
  padded.add(pool(Op::avg_pool2d, 2, 2, 1));  // every window has one pixel and three of padding
  EXPECT_EQ(outputs(padded.take(), sample), (Values{0.125F, 0.25F, 0.375F, 0.5F}));
}

TEST(InterpreterTest, MaxPoolIgnoresPaddingAndKeepsTheGrid) {
  ProgramBuilder build({1, 2, 2}, Grid{0.5F, 100});
  build.add(pool(Op::max_pool2d, 2, 2, 1));
  const Values negative{-1.0F, -2.0F, -3.0F, -4.0F};
  EXPECT_EQ(codes_of(build.program(), negative, "max_pool2d1"), (Codes{98, 96, 94, 92}));
  EXPECT_EQ(outputs(build.take(), negative), negative);
}

TEST(InterpreterTest, CodesOfValuesRoundTiesToEvenAndSaturate) {
  ProgramBuilder build({6}, Grid{2.0F, 1});
  build.add(Op::flatten);
  EXPECT_EQ(codes_of(build.take(), {1.0F, 3.0F, 5.0F, -3.0F, 1e30F, std::nanf("")}, "flatten1"),
            (Codes{1, 3, 3, 0, 255, 0}));
}

TEST(InterpreterTest, FloatOperationsAreTheirFormulas) {
  const auto one = [](Op op, float x) {
    ProgramBuilder build({1});
    Node node;
    node.op = op;
    node.slope = 0.25F;
    node.mean = 1.0F;
    node.deviation = 2.0F;
    build.add(std::move(node));
    return outputs(build.take(), {x})[0];
  };
  EXPECT_EQ(one(Op::normalize, 4.0F), 1.5F);
  EXPECT_EQ(one(Op::leaky_relu, -2.0F), -0.5F);
  EXPECT_EQ(one(Op::relu6, 7.0F), 6.0F);
  EXPECT_NEAR(one(Op::gelu, 1.0F), 0.8413447F, 1e-6F);
  EXPECT_NEAR(one(Op::tanh, 0.5F), 0.4621172F, 1e-6F);
  EXPECT_NEAR(one(Op::sigmoid, 1.0F), 0.7310586F, 1e-6F);
}

TEST(InterpreterTest, JoinsAndSlicesPutValuesWhereTheyBelong) {
  ProgramBuilder images({1, 1, 2});
  images.add(Op::concat, std::nullopt, {0, 0});
  EXPECT_EQ(outputs(images.take(), {1, 2}), (Values{1, 2, 1, 2}));
  ProgramBuilder steps({2, 2});
  steps.add(Op::concat, std::nullopt, {0, 0});
  steps.add(Op::last_step);
  Node slice;
  slice.op = Op::slice;
  slice.begin = 1;
  slice.length = 2;
  steps.add(slice);
  EXPECT_EQ(outputs(steps.take(), {1, 2, 3, 4}), (Values{4, 3}));
  ProgramBuilder scaled({2, 1, 2});
  const auto means = scaled.add(Op::global_avg_pool);
  scaled.add(Op::channel_scale, std::nullopt, {0, means});
  EXPECT_EQ(outputs(scaled.take(), {1, 3, 5, 7}), (Values{2, 6, 30, 42}));
}

TEST(InterpreterTest, GroupNormNormalizesItsGroups) {
  ProgramBuilder build({2, 1, 2});
  build.add(group_norm(1, 2));  // weight and bias 1
  const Values out = outputs(build.take(), {1, 3, 10, 10});
  EXPECT_NEAR(out[0], 0.0F, 1e-4F);
  EXPECT_NEAR(out[1], 2.0F, 1e-4F);
  EXPECT_EQ(out[2], 1.0F);
}

TEST(InterpreterTest, SharedMemoryChangesNoOutput) {
  for (std::int64_t seed = 0; seed < 60; ++seed) {
    const Program program = random_program(seed);
    Interpreter kept(program, Keep::kAll);
    Interpreter shared(program);
    EXPECT_LE(shared.peak_activation_bytes(), kept.peak_activation_bytes());
    for (std::int64_t s = 0; s < 2; ++s) {
      const Values sample = random_sample(kept.sample_size(), s);
      ASSERT_EQ(run_once(kept, sample), run_once(shared, sample)) << seed;
    }
  }
}

TEST(InterpreterTest, CodesTakeAByteAndDeadTensorsAreReused) {
  Interpreter integer(lenet(8, 16, 120, 84));
  // relu1 (6 x 24 x 24), while it is written: the image's codes (784) and the scratch of conv1.
  EXPECT_LT(integer.peak_activation_bytes(), 6 * 24 * 24 + 784 + 4 * 784 + 256);
}

TEST(InterpreterTest, ProfileCountsEveryNodeThatComputes) {
  Interpreter interpreter(lenet(8, 16, 120, 84));
  const Values sample = random_sample(interpreter.sample_size(), 1);
  const Values expected = run_once(interpreter, sample);
  const std::vector<NodeTime> times = interpreter.profile(sample, 5);
  ASSERT_EQ(times.size(), interpreter.program().nodes.size());
  double convolutions = 0.0;
  double rest = 0.0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const Node& node = interpreter.program().nodes[i];
    EXPECT_EQ(times[i].node, node.name);
    const bool is_folded = node.op == Op::relu || node.op == Op::flatten;
    EXPECT_EQ(times[i].microseconds == 0.0, is_folded) << node.name;
    (node.op == Op::conv2d ? convolutions : rest) += times[i].microseconds;
  }
  EXPECT_GT(convolutions, rest);
  EXPECT_EQ(run_once(interpreter, sample), expected);  // it leaves nothing behind
  EXPECT_NE(model_error([&] { interpreter.profile(Values(4), 1); }), "");
  EXPECT_NE(model_error([&] { interpreter.profile(sample, 0); }), "");
}

TEST(InterpreterTest, WhatItCannotRunIsAnErrorThatNamesTheNode) {
  ProgramBuilder build({4});
  build.add(Op::relu);
  Program ids = build.program();
  ids.input.type = ElementType::kInt32;
  EXPECT_TRUE(contains(model_error([&] { Interpreter one(ids); }), "node 'input'"));
  for (const OpInfo& info : known_ops()) {
    if (info.runs) continue;
    Program program = build.program();
    program.nodes[1].op = info.op;
    const std::string error = model_error([&] { Interpreter one(program); });
    EXPECT_TRUE(contains(error, "node 'relu1' (" + std::string(info.name) + ")")) << error;
  }
  Interpreter fine(build.take());
  Values logits(3);
  EXPECT_NE(model_error([&] { fine.run(Values(4), logits); }), "");
  EXPECT_NE(model_error([&] { fine.codes("relu1"); }), "");
}

}  // namespace
}  // namespace coppice::runtime
