#include "deploy/onnx/export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "deploy/onnx/summary.h"
#include "tests/core/thrown.h"
#include "tests/deploy_onnx/small_model.h"

namespace coppice {
namespace {

const OnnxOptions kOptions{.version = "9.8.7", .metadata = {{"config_hash", "abc"}}};

class OnnxExportTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  }
};

OnnxSummary summary_of(const Checkpoint& checkpoint) {
  return read_onnx(to_onnx(checkpoint, kOptions), "test");
}

std::vector<std::string> ops_of(const OnnxSummary& summary) {
  std::vector<std::string> out;
  for (const OnnxNode& node : summary.nodes) out.push_back(node.op);
  return out;
}

const OnnxTensor* initializer(const OnnxSummary& summary, const std::string& name) {
  const auto found = std::ranges::find(summary.initializers, name, &OnnxTensor::name);
  return found == summary.initializers.end() ? nullptr : &*found;
}

TEST_F(OnnxExportTest, PlainModelHasAnOperatorANode) {
  const OnnxSummary summary = summary_of(small_checkpoint());
  EXPECT_EQ(ops_of(summary), (std::vector<std::string>{"Conv", "Relu", "Flatten", "Gemm"}));
  EXPECT_EQ(summary.inputs, (std::vector<OnnxTensor>{{"input", "FLOAT", {-1, 1, 2, 2}, 0}}));
  EXPECT_EQ(summary.outputs, (std::vector<OnnxTensor>{{"logits", "FLOAT", {-1, 3}, 0}}));
  ASSERT_NE(initializer(summary, "fc.weight"), nullptr);
  EXPECT_EQ(*initializer(summary, "fc.weight"), (OnnxTensor{"fc.weight", "FLOAT", {3, 8}, 96}));
  EXPECT_EQ(summary.ir_version, 8);
  EXPECT_EQ(summary.opset, 17);
}

TEST_F(OnnxExportTest, MetadataSaysWhereTheModelComesFrom) {
  const Checkpoint checkpoint = small_checkpoint();
  const OnnxSummary summary = summary_of(checkpoint);
  EXPECT_TRUE(summary.is_ours);
  EXPECT_EQ(summary.producer, "coppice");
  EXPECT_EQ(summary.producer_version, "9.8.7");
  EXPECT_EQ(summary.metadata.at("coppice.model_sha256"), model_sha256(checkpoint));
  EXPECT_EQ(summary.metadata.at("coppice.round"), "12");
  EXPECT_EQ(summary.metadata.at("coppice.provenance.seed"), "7");
  EXPECT_EQ(summary.metadata.at("coppice.config_hash"), "abc");
  EXPECT_EQ(summary.metadata.at("coppice.label_names"), R"(["one","two","three"])");
  EXPECT_EQ(summary.metadata.at("coppice.content_sha256").size(), 64U);
}

TEST_F(OnnxExportTest, EqualCheckpointsGiveEqualBytes) {
  EXPECT_EQ(to_onnx(small_checkpoint(), kOptions), to_onnx(small_checkpoint(), kOptions));
  Checkpoint other = small_checkpoint();
  other.parameters[0] += 1.0F;
  EXPECT_NE(to_onnx(other, kOptions), to_onnx(small_checkpoint(), kOptions));
}

TEST_F(OnnxExportTest, PlanBecomesIntegersBetweenQuantizeAndDequantize) {
  const OnnxSummary summary = summary_of(small_quantized_checkpoint());
  const std::string q = "QuantizeLinear";
  const std::string dq = "DequantizeLinear";
  EXPECT_EQ(ops_of(summary),
            (std::vector<std::string>{q, dq,                          // input
                                      dq, dq, "Conv", "Relu", q, dq,  // weight, bias; relu's grid
                                      "Flatten", q, dq,               // the same grid once more
                                      dq, dq, "Gemm"}));
  EXPECT_EQ(*initializer(summary, "conv.weight"),
            (OnnxTensor{"conv.weight", "UINT8", {2, 1, 1, 1}, 2}));
  EXPECT_EQ(*initializer(summary, "conv.bias"), (OnnxTensor{"conv.bias", "INT32", {2}, 8}));
  EXPECT_EQ(*initializer(summary, "fc.weight"), (OnnxTensor{"fc.weight", "UINT8", {3, 8}, 24}));
  EXPECT_EQ(*initializer(summary, "relu/zero_point"),
            (OnnxTensor{"relu/zero_point", "UINT8", {}, 1}));
}

TEST_F(OnnxExportTest, CodesOfSevenBitsAreSigned) {
  Checkpoint checkpoint = small_quantized_checkpoint();
  checkpoint.plan.weights[1].bits = 7;
  const OnnxSummary summary = summary_of(checkpoint);
  EXPECT_EQ(*initializer(summary, "fc.weight"), (OnnxTensor{"fc.weight", "INT8", {3, 8}, 24}));
  EXPECT_EQ(initializer(summary, "fc.weight/zero_point")->element_type, "INT8");
}

TEST_F(OnnxExportTest, BiasStaysFp32WhereTheInputHasNoGrid) {
  Checkpoint checkpoint = small_quantized_checkpoint();
  checkpoint.plan.activations.clear();
  const OnnxSummary summary = summary_of(checkpoint);
  EXPECT_EQ(initializer(summary, "conv.bias")->element_type, "FLOAT");
  EXPECT_EQ(initializer(summary, "conv.weight")->element_type, "UINT8");
}

TEST_F(OnnxExportTest, NamesThatWouldMeetAreKeptApart) {
  Checkpoint checkpoint;
  checkpoint.graph = Graph::build(numbers({2}), {{"linear", "a", {}, {.out = 2}},
                                                 {"linear", "a.weight", {}, {.out = 2}},
                                                 {"relu", "logits", {}, {}},
                                                 {"relu", "last", {}, {}}});
  checkpoint.parameters.assign(static_cast<std::size_t>(checkpoint.graph.parameter_count()), 1.0F);
  const OnnxSummary summary = summary_of(checkpoint);
  EXPECT_EQ(summary.nodes[1].name, "a.weight_2");
  EXPECT_EQ(summary.nodes[2].name, "logits_2");
  EXPECT_EQ(summary.outputs[0].name, "logits");
}

TEST_F(OnnxExportTest, BatchNormIsFoldedOnlyWithoutAPlan) {
  Checkpoint checkpoint;
  checkpoint.graph = Graph::build(
      numbers({1, 2, 2}), {{"conv2d", "conv", {}, {.out = 2}}, {"batch_norm", "norm", {}, {}}});
  checkpoint.parameters.assign(static_cast<std::size_t>(checkpoint.graph.parameter_count()), 1.0F);
  EXPECT_EQ(ops_of(summary_of(checkpoint)), std::vector<std::string>{"Conv"});
  checkpoint.plan.weights = {{"conv.weight", 8, {1.0F, 1.0F}}};
  EXPECT_EQ(ops_of(summary_of(checkpoint)),
            (std::vector<std::string>{"DequantizeLinear", "Conv", "BatchNormalization"}));
}

TEST_F(OnnxExportTest, OperationThatCannotBeExportedNamesTheNode) {
  Checkpoint checkpoint;
  checkpoint.graph = Graph::build(
      numbers({3, 2}), {{"gru", "memory", {}, {.hidden = 2}}, {"last_step", "last", {}, {}}});
  checkpoint.parameters.assign(static_cast<std::size_t>(checkpoint.graph.parameter_count()), 1.0F);
  EXPECT_EQ(thrown_text<ConfigError>([&] { to_onnx(checkpoint, kOptions); }),
            "node 'memory': gru cannot be exported to ONNX yet");
}

TEST_F(OnnxExportTest, CheckpointThatDoesNotFitIsRefused) {
  Checkpoint checkpoint = small_quantized_checkpoint();
  checkpoint.parameters.pop_back();
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { to_onnx(checkpoint, kOptions); }),
                       "expected 31 parameters, got 30"));
  checkpoint = small_quantized_checkpoint();
  checkpoint.plan.weights[0].scales.pop_back();
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { to_onnx(checkpoint, kOptions); }),
                       "'conv.weight': expected 2 scales, got 1"));
  checkpoint = small_quantized_checkpoint();
  checkpoint.parameters[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { to_onnx(checkpoint, kOptions); }),
                       "'conv.weight': a value is not finite"));
  checkpoint = small_checkpoint();
  checkpoint.mask = Mask(3);
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { to_onnx(checkpoint, kOptions); }),
                       "mask: expected 31 bits, got 3"));
}

TEST(OnnxAbsentTest, BuildWithoutOnnxSaysSo) {
  if (has_onnx()) GTEST_SKIP() << "this build has ONNX";
  EXPECT_TRUE(contains(thrown_text<KernelError>([] { to_onnx(small_checkpoint(), kOptions); }),
                       "this build has no ONNX"));
  EXPECT_TRUE(
      contains(thrown_text<KernelError>([] { read_onnx({}, "x"); }), "this build has no ONNX"));
}

}  // namespace
}  // namespace coppice
