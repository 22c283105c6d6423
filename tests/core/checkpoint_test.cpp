#include "core/checkpoint.h"

#include <gtest/gtest.h>

#include <bit>

#include "core/parameter_arena.h"
#include "core/safetensors.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

Graph tiny() {
  return Graph::build(
      numbers({2}),
      {{"linear", "a", {}, {.out = 2}}, {"tanh", "t", {}, {}}, {"linear", "b", {}, {.out = 1}}});
}

Checkpoint sample() {
  Checkpoint checkpoint;
  checkpoint.graph = tiny();
  const ParameterArena arena = initial_parameters(checkpoint.graph, 1);
  checkpoint.parameters.assign(arena.values().begin(), arena.values().end());
  checkpoint.mask = Mask(9);
  checkpoint.mask->set(4, false);
  checkpoint.plan.weights = {{"a.weight", 8, {0.5F, 0.1F}}};
  checkpoint.plan.activations = {{"t", 0.0078125F, 128}};
  checkpoint.round = 12;
  checkpoint.mask_epoch = 3;
  checkpoint.server_state = {{"server_momentum", std::vector<float>(9, 0.25F)}, {"empty", {}}};
  checkpoint.kept_graph = Graph::build(numbers({2}), {{"linear", "a", {}, {.out = 4}}});
  checkpoint.provenance = {{"seed", "7"}};
  return checkpoint;
}

std::string read_error(const Bytes& bytes) {
  return thrown_text<DataError>([&] { checkpoint_from_bytes(bytes, "a.safetensors"); });
}

TEST(CheckpointTest, WhatIsWrittenReadsBack) {
  const Checkpoint written = sample();
  const Bytes bytes = to_bytes(written);
  const Checkpoint read = checkpoint_from_bytes(bytes, "file");
  EXPECT_EQ(read.graph, written.graph);
  EXPECT_EQ(read.parameters, written.parameters);
  EXPECT_EQ(read.mask, written.mask);
  EXPECT_EQ(read.plan, written.plan);
  EXPECT_EQ(read.round, 12);
  EXPECT_EQ(read.mask_epoch, 3);
  EXPECT_EQ(read.server_state, written.server_state);
  EXPECT_EQ(read.kept_graph, written.kept_graph);
  EXPECT_EQ(read.provenance, written.provenance);
  EXPECT_EQ(to_bytes(read), bytes);
}

TEST(CheckpointTest, HashCoversTheModelAndNothingElse) {
  const std::string hash = model_sha256(sample());
  Checkpoint same = sample();
  same.round = 99;
  same.mask_epoch = 0;
  same.server_state.clear();
  same.kept_graph.reset();
  same.provenance["machine"] = "another";
  EXPECT_EQ(model_sha256(same), hash);
  std::vector<Checkpoint> others(7, sample());
  others[0].parameters[3] =
      std::bit_cast<float>(std::bit_cast<std::uint32_t>(others[0].parameters[3]) ^ 1U);
  others[1].mask->set(0, false);
  others[2].mask.reset();
  others[3].plan.weights[0].bits = 4;
  others[4].graph = Graph::build({.shape = {2}, .label_names = {"x"}}, tiny().layers());
  others[5].plan.weights[0].scales[1] = 0.2F;
  others[6].plan.activations[0].zero_point = 127;
  for (std::size_t i = 0; i < others.size(); ++i) EXPECT_NE(model_sha256(others[i]), hash) << i;
}

TEST(CheckpointTest, EveryTruncationIsRefusedByName) {
  const Bytes whole = to_bytes(sample());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::string error =
        read_error({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)});
    ASSERT_TRUE(contains(error, "a.safetensors")) << n << ": " << error;
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_NE(read_error(longer), "");
}

// A flip in rounds, state or provenance is not the model's: the run folder's own digest covers
// those.
TEST(CheckpointTest, EveryFlippedBitIsRefusedOrLeavesTheModelAsItWas) {
  Checkpoint small;
  small.graph = Graph::build(numbers({1}), {{"linear", "a", {}, {.out = 1}}});
  small.parameters = {0.5F, -2.0F};
  small.mask = Mask(2);
  small.plan.weights = {{"a.bias", 8, {0.5F}}};
  small.server_state = {{"v", {1.0F}}};
  small.kept_graph = small.graph;
  const Bytes whole = to_bytes(small);
  const std::string hash = model_sha256(small);
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes damaged = whole;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    try {
      ASSERT_EQ(model_sha256(checkpoint_from_bytes(damaged, "file")), hash) << bit;
      ++accepted;
    } catch (const DataError&) {
    } catch (const ConfigError&) {
    }
  }
  EXPECT_LT(accepted, whole.size());  // of 8 bits each
}

TEST(CheckpointTest, ParametersMustMatchTheGraph) {
  Checkpoint wrong = sample();
  wrong.parameters.pop_back();
  EXPECT_THROW(to_bytes(wrong), Error);
  const auto changed = [](auto&& change) {
    const Bytes bytes = to_bytes(sample());
    TensorFile file = read_safetensors(bytes, "file");
    change(file);
    return read_error(write_safetensors(file));
  };
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.tensors[1].name = "c.bias"; }),
                       "expected parameter a.bias 2, got 'c.bias'"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.tensors[0].shape = {4}; }),
                       "expected parameter a.weight 2x2"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.tensors[0].dtype = "I32"; }), "expected F32"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.tensors.resize(3); }),
                       "expected 4 parameters, got 3"));
  EXPECT_TRUE(
      contains(changed([](TensorFile& f) { f.metadata["format"] = "pt"; }), "expected format"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.metadata.erase("graph"); }), "no 'graph'"));
  EXPECT_TRUE(
      contains(changed([](TensorFile& f) { f.metadata["round"] = "-1"; }), "expected a count"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.metadata["graph"] = R"({"input":1})"; }),
                       "damaged checkpoint"));
  const auto with_plan = [&](const std::string& weights, const std::string& activations) {
    return changed([&](TensorFile& f) {
      f.metadata["quant_plan"] =
          R"({"weights":[)" + weights + R"(],"activations":[)" + activations + "]}";
    });
  };
  EXPECT_TRUE(contains(with_plan(R"({"parameter":"z","bits":8,"scales":[1]})", ""), "'z'"));
  EXPECT_TRUE(
      contains(with_plan(R"({"parameter":"a.bias","bits":0,"scales":[1,1]})", ""), "0 bits"));
  EXPECT_TRUE(contains(with_plan(R"({"parameter":"a.bias","bits":4,"scales":[1]})", ""),
                       "expected 2 scales, got 1"));
  EXPECT_TRUE(contains(with_plan(R"({"parameter":"a.bias","bits":4,"scales":[1,0]})", ""),
                       "expected a positive scale, got 0"));
  EXPECT_TRUE(
      contains(with_plan("", R"({"node":"t","scale":1,"zero_point":256})"), "zero point 256"));
  EXPECT_TRUE(contains(with_plan("", R"({"node":"y","scale":1,"zero_point":0})"), "node 'y'"));
  EXPECT_TRUE(contains(
      with_plan("",
                R"({"node":"t","scale":1,"zero_point":0},{"node":"t","scale":1,"zero_point":0})"),
      "twice"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.metadata["model_sha256"] = "0"; }),
                       "the file says 0"));
  EXPECT_TRUE(contains(changed([](TensorFile& f) { f.tensors[4].name = "extra"; }),
                       "unexpected tensor 'extra'"));
}

TEST(CheckpointTest, WeightsForMatchesByNameInAnyOrder) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto bytes = [&](std::size_t begin, std::size_t count) {
    return bytes_of(std::span(values).subspan(begin, count));
  };
  TensorFile file;
  file.tensors = {{"b.bias", "F32", {1}, bytes(8, 1)},
                  {"a.weight", "F32", {2, 2}, bytes(0, 4)},
                  {"b.weight", "F32", {1, 2}, bytes(6, 2)},
                  {"a.bias", "F32", {2}, bytes(4, 2)}};
  EXPECT_EQ(weights_for(tiny(), write_safetensors(file), "init"), values);
  const auto error = [&](auto&& change) {
    TensorFile damaged = file;
    change(damaged.tensors);
    const Bytes written = write_safetensors(damaged);
    return thrown_text<DataError>([&] { weights_for(tiny(), written, "init.safetensors"); });
  };
  using Tensors = std::vector<TensorBytes>;
  EXPECT_TRUE(contains(error([](Tensors& t) { t.erase(t.begin() + 1); }),
                       "init.safetensors: expected a tensor 'a.weight'"));
  EXPECT_TRUE(contains(error([](Tensors& t) { t[1].shape = {4}; }),
                       "'a.weight': expected shape 2x2, got 4"));
  EXPECT_TRUE(
      contains(error([](Tensors& t) { t[2].dtype = "U32"; }), "'b.weight': expected F32, got U32"));
  EXPECT_TRUE(contains(error([&](Tensors& t) {
                         t.push_back({"c.bias", "F32", {1}, bytes(0, 1)});
                       }),
                       "'c.bias' is no parameter"));
}

TEST(CheckpointTest, WeightsForTakesOurOwnCheckpoints) {
  const Checkpoint checkpoint = sample();
  EXPECT_EQ(weights_for(tiny(), to_bytes(checkpoint), "file"), checkpoint.parameters);
}

}  // namespace
}  // namespace coppice
