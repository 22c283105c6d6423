#include "deploy/onnx/import.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/random.h"
#include "deploy/onnx/export.h"
#include "tests/core/thrown.h"
#include "tests/deploy_onnx/forged_model.h"
#include "tests/deploy_onnx/small_model.h"

namespace coppice {
namespace {

using forged::attribute;
using forged::filled;
using forged::floats;
using forged::model;
using forged::node;
using Bytes = std::vector<std::uint8_t>;

class OnnxImportTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  }
};

Bytes written(const Checkpoint& checkpoint) {
  return to_onnx(checkpoint, {.version = "1", .metadata = {}});
}

std::string refusal(const Bytes& bytes) {
  return thrown_text<DataError>([&] { from_onnx(bytes, "m.onnx"); });
}

std::vector<std::string> ops_of(const Checkpoint& checkpoint) {
  std::vector<std::string> out;
  for (const LayerSpec& layer : checkpoint.graph.layers()) out.push_back(layer.op);
  return out;
}

// 3 x 3 convolution of two channels with `attributes`, flattened, to three classes.
Bytes convolution(const std::string& attributes,
                  const std::vector<std::int64_t>& image = {2, 4, 4}) {
  return model(image, filled("w", {2, 2, 3, 3}, 0.5F) +
                          node("Conv", "/net/conv", {"input", "w"}, "c", attributes) +
                          node("GlobalAveragePool", "pool", {"c"}, "p") +
                          node("Flatten", "flat", {"p"}, "output"));
}

TEST_F(OnnxImportTest, OwnFilesComeBackWithNamesRoundsAndLabels) {
  const Checkpoint original = small_checkpoint();
  const Checkpoint read = from_onnx(written(original), "m.onnx");
  EXPECT_EQ(read.graph.to_json(), original.graph.to_json());
  EXPECT_EQ(read.parameters, original.parameters);
  EXPECT_EQ(read.round, 12);
  EXPECT_EQ(read.provenance, original.provenance);
  EXPECT_EQ(model_sha256(read), model_sha256(original));
}

TEST_F(OnnxImportTest, CodesComeBackWithTheirPlan) {
  const Checkpoint original = small_quantized_checkpoint();
  const Checkpoint read = from_onnx(written(original), "m.onnx");
  EXPECT_EQ(read.plan, original.plan);
  EXPECT_EQ(written(from_onnx(written(read), "m.onnx")).size(), written(read).size());
  EXPECT_EQ(model_sha256(from_onnx(written(read), "m.onnx")), model_sha256(read));
}

TEST_F(OnnxImportTest, EveryTruncationIsRefused) {
  const Bytes bytes = written(small_quantized_checkpoint());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(from_onnx(cut, "cut"), DataError) << size << " of " << bytes.size();
  }
}

// A file of others has no hash: what is imported may be another network, but it is a sound one.
TEST_F(OnnxImportTest, FlippedBitsAreRefusedOrGiveASoundNetwork) {
  const Bytes ours = written(small_quantized_checkpoint());
  const Bytes other = read_file(COPPICE_SOURCE_DIR "/tests/golden/onnx/plain_signed.onnx");
  const std::string sound = model_sha256(from_onnx(ours, "whole"));
  RandomStream stream({.purpose = Purpose::kGenerated, .task = 2});
  int imported = 0;
  for (int i = 0; i < 10'000; ++i) {
    Bytes damaged = i % 2 == 0 ? ours : other;
    const std::uint64_t bit = stream.next_below(damaged.size() * 8);
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    try {
      const Checkpoint read = from_onnx(damaged, "damaged");
      EXPECT_EQ(model_sha256(checkpoint_from_bytes(to_bytes(read), "again")), model_sha256(read));
      ++imported;
    } catch (const DataError&) {
    }
  }
  EXPECT_GT(imported, 1000);
}

TEST_F(OnnxImportTest, UnsupportedOperatorIsNamedWithItsNode) {
  const std::string message =
      refusal(model({4}, node("Hardmax", "/head/hard", {"input"}, "output")));
  EXPECT_TRUE(contains(message,
                       "m.onnx: cannot be imported: node '/head/hard' (Hardmax): the operator "
                       "Hardmax is not read; these are: Add,"))
      << message;
  EXPECT_TRUE(contains(refusal(model({4}, node("LSTM", "", {"input"}, "output"))),
                       "node 'output' (LSTM): the operator LSTM is not read"));
}

TEST_F(OnnxImportTest, OperatorsOfOtherDomainsAreNamed) {
  const std::string content = node("Relu", "r", {"input"}, "output", forged::bytes(7, "com.x"));
  EXPECT_TRUE(contains(refusal(model({4}, content)), "node 'r' (Relu): the operator com.x.Relu"));
}

struct Refusal {
  std::string attributes;
  std::string message;
};

TEST_F(OnnxImportTest, WhatTheGraphCannotSayNamesTheAttribute) {
  using Ints = std::vector<std::int64_t>;
  const std::vector<Refusal> cases = {
      {attribute("dilations", Ints{2, 2}), "dilations: expected 1 1, got 2 2"},
      {attribute("pads", Ints{0, 0, 1, 1}),
       "pads: expected equal borders before and behind height and width, got 0 0 1 1"},
      {attribute("auto_pad", std::string("SAME_UPPER")) + attribute("strides", Ints{2, 2}),
       "auto_pad: expected equal borders before and behind an axis; SAME_UPPER makes 1 together"},
      {attribute("group", std::int64_t{2}), "expected a weight for 2 input channels"},
      {attribute("strides", Ints{0, 1}), "strides of at least 1, got 3 3 and 0 1"},
      {attribute("strides", Ints{2}), "strides: expected two numbers"},
      {attribute("strides", std::int64_t{2}), "strides: expected type 7, got 2"},
      {attribute("kernel_shape", Ints{5, 5}), "kernel_shape: expected the weight's 3 3"},
      {attribute("colour", std::int64_t{1}), "attribute colour is not known"},
  };
  for (const Refusal& one : cases) {
    const std::string message = refusal(convolution(one.attributes));
    EXPECT_TRUE(contains(message, "node '/net/conv' (Conv): ")) << message;
    EXPECT_TRUE(contains(message, one.message)) << message;
  }
  EXPECT_TRUE(contains(refusal(convolution("", {2, 2, 2})),
                       "'/net/conv' (Conv): layer 'net.conv' (conv2d): kernel 3 is larger"));
}

TEST_F(OnnxImportTest, SameBordersArePaddingWhereTheyAreEqual) {
  const Checkpoint read =
      from_onnx(convolution(attribute("auto_pad", std::string("SAME_LOWER"))), "m");
  EXPECT_EQ(ops_of(read), (std::vector<std::string>{"conv2d", "global_avg_pool"}));
  EXPECT_EQ(read.graph.layers()[0].name, "net.conv");
  EXPECT_EQ(read.graph.layers()[0].attributes.padding, (Pair{1, 1}));
  EXPECT_FALSE(read.graph.layers()[0].attributes.bias);
}

TEST_F(OnnxImportTest, SoftmaxAtTheEndIsRefusedWithAReason) {
  const std::string content =
      filled("w", {3, 4}, 1.0F) +
      node("Gemm", "fc", {"input", "w"}, "y", attribute("transB", std::int64_t{1})) +
      node("Softmax", "soft", {"y"}, "output");
  EXPECT_TRUE(
      contains(refusal(model({4}, content)),
               "node 'soft' (Softmax): expected attention's scores; a network ends in logits"));
}

TEST_F(OnnxImportTest, ValuesInOtherFilesAreRefusedByName) {
  const std::string external = forged::bytes(
      5, forged::dims(1, {3, 4}) + forged::number(2, 1) + forged::bytes(8, "fc.weight") +
             forged::bytes(13, forged::bytes(1, "location") + forged::bytes(2, "weights.bin")) +
             forged::number(14, 1));
  const std::string content = external + node("Gemm", "fc", {"input", "fc.weight"}, "output",
                                              attribute("transB", std::int64_t{1}));
  EXPECT_TRUE(
      contains(refusal(model({4}, content)), "tensor 'fc.weight': its values lie in another file"));
}

TEST_F(OnnxImportTest, SizesThatAreOpenAreRefused) {
  EXPECT_TRUE(contains(refusal(model({3, -1, 4}, node("Relu", "r", {"input"}, "output"))),
                       "input 'input': an axis beside the batch has no fixed size"));
  EXPECT_TRUE(contains(refusal(model({4}, node("Relu", "r", {"later"}, "output"))),
                       "node 'r' (Relu): input 'later' is no input, initializer or first output"));
  EXPECT_TRUE(contains(refusal(model({4}, node("Relu", "r", {"input"}, "output"), 8)),
                       "opset 8, expected 9 to 23"));
  EXPECT_TRUE(contains(refusal(model({4}, node("Relu", "r", {"input"}, "x"))),
                       "output 'output' is made by no node"));
  EXPECT_TRUE(
      contains(refusal(model({1 << 24, 1 << 24, 2}, node("Flatten", "r", {"input"}, "output"))),
               "input: 16777216x16777216x2 has more than"));
}

TEST_F(OnnxImportTest, WeightsOfAMatrixProductAreTransposed) {
  const std::string content =
      floats("w", {2, 3}, {1, 2, 3, 4, 5, 6}) + floats("b", {3}, {7, 8, 9}) +
      node("MatMul", "mul", {"input", "w"}, "y") + node("Add", "fc", {"b", "y"}, "output");
  const Checkpoint read = from_onnx(model({2}, content), "m");
  EXPECT_EQ(ops_of(read), (std::vector<std::string>{"linear"}));
  EXPECT_EQ(read.graph.layers()[0].name, "fc");
  EXPECT_EQ(read.parameters, (std::vector<float>{1, 4, 2, 5, 3, 6, 7, 8, 9}));
}

// Codes -128 stand for nothing on a symmetric grid of 127; zero points of weights may be any.
TEST_F(OnnxImportTest, WeightCodesAreRelativeToTheirZeroPoint) {
  const auto file = [](const std::vector<std::uint8_t>& codes, std::uint8_t zero) {
    return model({2}, forged::tensor("w", 2, {2, 2}, codes) + filled("s", {}, 0.5F) +
                          forged::tensor<std::uint8_t>("z", 2, {}, {zero}) +
                          node("DequantizeLinear", "dq", {"w", "s", "z"}, "v") +
                          node("Gemm", "fc", {"input", "v"}, "output",
                               attribute("transB", std::int64_t{1})));
  };
  const Checkpoint read = from_onnx(file({10, 11, 130, 10}, 10), "m");
  ASSERT_EQ(read.plan.weights.size(), 1U);
  EXPECT_EQ(read.plan.weights[0].bits, 8);
  EXPECT_EQ(read.plan.weights[0].scales, (std::vector<float>{0.5F, 0.5F}));
  EXPECT_EQ(read.parameters, (std::vector<float>{0, 0.5F, 60, 0}));
  EXPECT_EQ(from_onnx(file({10, 11, 17, 3}, 10), "m").plan.weights[0].bits, 4);
  EXPECT_TRUE(contains(refusal(file({0, 0, 0, 0}, 128)),
                       "'fc.weight': expected codes within 127 of the zero point, got 128"));
}

// x -> grid a -> relu; x -> as it is -> tanh: one output of conv with and without a grid.
TEST_F(OnnxImportTest, ReadersThroughDifferentGridsGetLayersOfTheirOwn) {
  const std::string grids = filled("s1", {}, 0.1F) +
                            forged::tensor<std::int8_t>("z1", 3, {}, {-128}) +
                            filled("s2", {}, 0.2F) + forged::tensor<std::uint8_t>("z2", 2, {}, {5});
  const std::string content =
      filled("w", {3, 2}, 1.0F) + grids +
      node("Gemm", "fc", {"input", "w"}, "y", attribute("transB", std::int64_t{1})) +
      node("QuantizeLinear", "q1", {"y", "s1", "z1"}, "c1") +
      node("DequantizeLinear", "d1", {"c1", "s1", "z1"}, "v1") +
      node("QuantizeLinear", "q2", {"v1", "s2", "z2"}, "c2") +
      node("DequantizeLinear", "d2", {"c2", "s2", "z2"}, "v2") + node("Relu", "r", {"v2"}, "a") +
      node("Tanh", "t", {"y"}, "b") + node("Add", "sum", {"a", "b"}, "output");
  const Checkpoint read = from_onnx(model({2}, content), "m");
  EXPECT_EQ(ops_of(read),
            (std::vector<std::string>{"linear", "normalize", "normalize", "relu", "tanh", "add"}));
  ASSERT_EQ(read.plan.activations.size(), 2U);
  EXPECT_EQ(read.plan.activations[0].zero_point, 0);  // -128 of signed codes
  EXPECT_EQ(read.plan.activations[1].zero_point, 5);
  EXPECT_EQ(read.plan.activations[0].scale, 0.1F);
  const int relu = read.graph.node_named("r");
  EXPECT_EQ(
      grid_of(read.graph, read.plan, read.graph.nodes()[static_cast<std::size_t>(relu)].inputs[0])
          ->scale,
      0.2F);
}

// A grid behind a layer that only moves values rounds the same values in front of it.
TEST_F(OnnxImportTest, GridsMoveInFrontOfWhatOnlyMovesValues) {
  using Ints = std::vector<std::int64_t>;
  const std::string content =
      filled("s", {}, 0.1F) + forged::tensor<std::uint8_t>("z", 2, {}, {3}) +
      node("Relu", "r", {"input"}, "y") +
      node("MaxPool", "pool", {"y"}, "p", attribute("kernel_shape", Ints{2, 2})) +
      node("Flatten", "flat", {"p"}, "f") + node("QuantizeLinear", "q", {"f", "s", "z"}, "c") +
      node("DequantizeLinear", "d", {"c", "s", "z"}, "v") + node("Tanh", "t", {"v"}, "output");
  const Checkpoint read = from_onnx(model({1, 3, 3}, content), "m");
  EXPECT_EQ(ops_of(read), (std::vector<std::string>{"relu", "max_pool2d", "flatten", "tanh"}));
  EXPECT_EQ(read.plan.activations,
            (std::vector<ActivationQuant>{{.node = "r", .scale = 0.1F, .zero_point = 3}}));
}

// One tensor of 64 KiB in each of 10,000 layers would be 655 MB out of a file of one.
TEST_F(OnnxImportTest, TensorsThatAreUsedTooOftenAreRefused) {
  std::string content = filled("w", {128, 128}, 0.01F);
  std::string last = "input";
  for (int i = 0; i < 2000; ++i) {
    const std::string next = i == 1999 ? "output" : "y" + std::to_string(i);
    content += node("MatMul", "", {last, "w"}, next);
    last = next;
  }
  EXPECT_TRUE(contains(refusal(model({128}, content)), "tensors are used too many times over"));
}

TEST(OnnxImportAbsentTest, BuildWithoutOnnxSaysSo) {
  if (has_onnx()) GTEST_SKIP() << "this build has ONNX";
  EXPECT_TRUE(
      contains(thrown_text<KernelError>([] { from_onnx({}, "x"); }), "this build has no ONNX"));
}

}  // namespace
}  // namespace coppice
