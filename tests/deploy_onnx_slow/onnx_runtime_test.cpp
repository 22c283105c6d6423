// onnxruntime computes what our executor computes: every model of the zoo, every exported
// operation, and models in integers.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "algorithms/quantize.h"
#include "core/text.h"
#include "deploy/onnx/export.h"
#include "models/executor.h"
#include "models/zoo.h"
#include "tests/core/thrown.h"
#include "tests/deploy_onnx_slow/fake_quant_reference.h"
#include "tests/deploy_onnx_slow/onnx_oracle.h"
#include "tests/deploy_onnx_slow/op_cases.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

constexpr std::int64_t kVocabulary = 13;

Graph zoo_model(const std::string& name) {
  ModelConfig config;
  config.name = name;
  if (name == "resnet20") config.width = 8;
  if (name == "char_transformer") {
    config.width = 16;
    config.heads = 2;
    config.dropout = 0.1;
  }
  ModelRequest request{.input = numbers({1, 16, 16})};
  if (name == "char_transformer")
    request = {.input = ids(12, 12), .classes = kVocabulary, .vocabulary = kVocabulary};
  return make_model(config, request);
}

OracleCase oracle_case(std::string name, Graph graph, std::int64_t vocabulary) {
  OracleCase out{std::move(name), {}, random_samples(graph, 3, vocabulary)};
  out.checkpoint.parameters = random_parameters(graph, 5);
  out.checkpoint.graph = std::move(graph);
  return out;
}

std::vector<float> executor_logits(const OracleCase& one) {
  return make_executor("auto", one.checkpoint.graph)
      ->infer({.parameters = one.checkpoint.parameters}, one.samples);
}

class OnnxRuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
    interpreter_ = onnx_python();
    if (interpreter_.empty()) GTEST_SKIP() << "no python3 with the packages numpy and onnxruntime";
  }

  void expect_equal_logits(const std::vector<OracleCase>& cases) {
    for (const char* level : {"plain", "optimized"}) {
      const OracleResult result = run_oracle(interpreter_, level, cases);
      for (std::size_t i = 0; i < cases.size(); ++i) {
        const double difference = relative_difference(result.logits[i], executor_logits(cases[i]));
        EXPECT_LT(difference, 1e-4) << level << " " << cases[i].name << "\n" << result.output;
        RecordProperty(std::string(level) + "_" + cases[i].name, text(difference));
      }
    }
  }

  std::string interpreter_;
};

TEST_F(OnnxRuntimeTest, ZooModelsGiveTheExecutorsLogits) {
  std::vector<OracleCase> cases;
  for (const ModelInfo& info : known_models()) {
    const std::string name(info.name);
    cases.push_back(oracle_case(name, zoo_model(name), kVocabulary));
  }
  expect_equal_logits(cases);
}

TEST_F(OnnxRuntimeTest, EveryClaimedOperationGivesTheExecutorsOutput) {
  std::vector<OracleCase> cases;
  std::set<OpKind> used;
  for (OpCase& one : op_cases()) {
    for (const Node& node : one.graph.nodes()) used.insert(node.op);
    cases.push_back(oracle_case(one.name, std::move(one.graph), one.vocabulary));
  }
  for (const OpInfo& info : known_ops())
    EXPECT_EQ(used.contains(info.op), info.onnx == Capability::yes) << info.name;
  expect_equal_logits(cases);
}

TEST_F(OnnxRuntimeTest, MaskedWeightsAreZeros) {
  OracleCase one = oracle_case("masked", zoo_model("mlp"), 0);
  Checkpoint& checkpoint = one.checkpoint;
  checkpoint.mask = Mask(checkpoint.graph.parameter_count());
  for (std::int64_t i = 0; i < checkpoint.mask->size(); i += 3) checkpoint.mask->set(i, false);
  const OracleResult result = run_oracle(interpreter_, "optimized", {one});
  std::vector<float> expected = checkpoint.parameters;
  checkpoint.mask->apply(expected);
  const auto logits =
      make_executor("auto", checkpoint.graph)->infer({.parameters = expected}, one.samples);
  EXPECT_LT(relative_difference(result.logits[0], logits), 1e-4);
}

// The largest input codes by the largest weight codes, which a 16-bit sum of two products holds at
// 7 bits and not at 8: those are stored unsigned, for kernels that do not add so.
TEST_F(OnnxRuntimeTest, LargestProductsDoNotSaturate) {
  for (const int bits : {7, 8}) {
    OracleCase one{"largest", {}, std::vector<float>(64 * 3, 1.0F)};
    Checkpoint& checkpoint = one.checkpoint;
    checkpoint.graph =
        Graph::build(numbers({64}), {{"linear", "fc", {}, {.out = 8, .bias = false}}});
    checkpoint.parameters.assign(512, 1.0F);
    checkpoint.plan.weights = weight_grids(checkpoint.graph, checkpoint.parameters, bits);
    checkpoint.plan.activations = {{"input", 1.0F / 255.0F, 0}};
    std::vector<float> on_grid = checkpoint.parameters;  // scales are short: 1 is not quite on it
    fake_quantize(on_grid, checkpoint.plan.weights.front());
    const OracleResult result = run_oracle(interpreter_, "optimized", {one});
    EXPECT_FALSE(contains(result.output, "DequantizeLinear")) << result.output;
    EXPECT_LT(relative_difference(result.logits[0], std::vector<float>(24, 64.0F * on_grid[0])),
              1e-6)
        << bits << " " << result.output;
  }
}

struct IntegerCase {
  std::string model;
  int bits;
  double bound;        // of the largest logit, for the worst sample
  std::string kernel;  // an integer operator that onnxruntime must have chosen

  friend std::ostream& operator<<(std::ostream& out, const IntegerCase& one) {
    return out << one.model << one.bits;
  }
};

// Relative differences of the samples, sorted.
std::vector<double> sample_differences(const std::vector<float>& a, const std::vector<float>& b,
                                       std::size_t samples) {
  std::vector<double> out;
  const std::size_t row = b.size() / samples;
  for (std::size_t i = 0; i < samples; ++i) {
    const auto at = static_cast<std::ptrdiff_t>(i * row);
    const auto end = at + static_cast<std::ptrdiff_t>(row);
    out.push_back(
        relative_difference({a.begin() + at, a.begin() + end}, {b.begin() + at, b.begin() + end}));
  }
  std::ranges::sort(out);
  return out;
}

class OnnxIntegerTest : public testing::TestWithParam<IntegerCase> {};

// A value next to the middle between two codes may be rounded to either by two correct orders of
// summation, and each later layer carries that code on: models agree for most samples to the last
// bits of fp32, for the others within what quantization itself changes. Short scales (9 significant
// bits) put values next to such a middle more often.
TEST_P(OnnxIntegerTest, QdqGivesTheFakeQuantizedLogits) {
  constexpr std::size_t kSamples = 16;
  if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  const std::string interpreter = onnx_python();
  if (interpreter.empty()) GTEST_SKIP() << "no python3 with the packages numpy and onnxruntime";
  const IntegerCase& param = GetParam();
  OracleCase one = oracle_case(param.model, zoo_model(param.model), 0);
  one.samples = random_samples(one.checkpoint.graph, kSamples, 0);
  Checkpoint& checkpoint = one.checkpoint;
  const std::vector<float> fp32 = executor_logits(one);
  checkpoint.plan = plan_for(checkpoint.graph, checkpoint.parameters, one.samples, param.bits);
  const auto expected =
      reference_outputs({checkpoint.graph, checkpoint.parameters, checkpoint.plan}, one.samples)
          .back();
  for (const char* level : {"plain", "optimized"}) {
    const OracleResult result = run_oracle(interpreter, level, {one});
    ASSERT_EQ(result.logits[0].size(), expected.size()) << result.output;
    const auto differences = sample_differences(result.logits[0], expected, kSamples);
    EXPECT_LT(differences.back(), param.bound) << level << " " << result.output;
    EXPECT_LT(differences[kSamples / 2], 1e-5) << level << " " << result.output;
    EXPECT_EQ(contains(result.output, param.kernel), level == std::string("optimized"))
        << result.output;
    RecordProperty(level, text("median ", differences[kSamples / 2], " worst ", differences.back(),
                               " fp32 ", relative_difference(fp32, expected)));
  }
  EXPECT_GT(relative_difference(fp32, expected), 1e-3);  // the grids do something
}

INSTANTIATE_TEST_SUITE_P(Models, OnnxIntegerTest,
                         testing::Values(IntegerCase{"mlp", 8, 0.01, "QGemm"},
                                         IntegerCase{"mlp", 7, 1e-5, "QGemm"},
                                         IntegerCase{"mlp", 4, 1e-5, "QGemm"},
                                         IntegerCase{"lenet5", 8, 1e-5, "QLinearConv"},
                                         IntegerCase{"lenet5", 7, 1e-5, "QLinearConv"},
                                         IntegerCase{"lenet5", 4, 1e-5, "QLinearConv"},
                                         IntegerCase{"resnet20", 8, 0.05, "QLinearAdd"}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace coppice
