// Networks from elsewhere: what is imported computes what onnxruntime computes of the file, in the
// executor and, where the runtime has the operations, as a .cpk. The files are those of
// tests/golden/onnx/make_onnx.py.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/file.h"
#include "deploy/lower.h"
#include "deploy/onnx/export.h"
#include "deploy/onnx/import.h"
#include "deploy/runtime/engine.h"
#include "models/executor.h"
#include "tests/deploy_onnx_slow/onnx_oracle.h"
#include "tests/deploy_onnx_slow/op_cases.h"

namespace coppice {
namespace {

constexpr std::size_t kSamples = 16;
constexpr std::int64_t kVocabulary = 11;

struct Elsewhere {
  std::string file;
  bool is_quantized = false;
  bool runs = true;  // in the deployment runtime

  friend std::ostream& operator<<(std::ostream& out, const Elsewhere& one) {
    return out << one.file;
  }
};

std::vector<float> executor_logits(const OracleCase& one) {
  const Checkpoint& checkpoint = one.checkpoint;
  return make_executor("auto", checkpoint.graph)
      ->infer({.parameters = checkpoint.parameters, .quant = &checkpoint.plan}, one.samples);
}

std::vector<float> runtime_logits(const OracleCase& one) {
  runtime::Engine engine(lower(one.checkpoint));
  const auto size = static_cast<std::size_t>(engine.sample_size());
  const auto row = static_cast<std::size_t>(engine.logit_count());
  std::vector<float> out(kSamples * row);
  for (std::size_t i = 0; i < kSamples; ++i) {
    engine.run(std::span(one.samples).subspan(i * size, size),
               std::span(out).subspan(i * row, row));
  }
  return out;
}

// The largest relative difference of a sample, and the one in the middle.
struct Differences {
  double middle = 0.0;
  double worst = 0.0;
};
Differences differences(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  if (a.size() != b.size()) return {1.0, 1.0};
  std::vector<double> all;
  const auto row = static_cast<std::ptrdiff_t>(b.size() / kSamples);
  for (std::ptrdiff_t at = 0; at < static_cast<std::ptrdiff_t>(b.size()); at += row) {
    all.push_back(relative_difference({a.begin() + at, a.begin() + at + row},
                                      {b.begin() + at, b.begin() + at + row}));
  }
  std::ranges::sort(all);
  return {all[all.size() / 2], all.back()};
}

class OnnxImportRuntimeTest : public testing::TestWithParam<Elsewhere> {};

// In integers a value next to the middle between two codes may go either way.
TEST_P(OnnxImportRuntimeTest, GivesWhatOnnxruntimeGives) {
  if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  const std::string interpreter = onnx_python();
  if (interpreter.empty()) GTEST_SKIP() << "no python3 with the packages numpy and onnxruntime";
  OracleCase one{.name = GetParam().file, .checkpoint = {}, .samples = {}};
  one.file = COPPICE_SOURCE_DIR "/tests/golden/onnx/" + GetParam().file + ".onnx";
  one.checkpoint = from_onnx(read_file(one.file), one.file);
  one.samples = random_samples(one.checkpoint.graph, kSamples, kVocabulary);
  EXPECT_EQ(one.checkpoint.plan.is_empty(), !GetParam().is_quantized);

  const std::vector<float> expected = run_oracle(interpreter, "plain", {one}).logits[0];
  const double bound = GetParam().is_quantized ? 0.05 : 1e-5;
  const Differences executor = differences(executor_logits(one), expected);
  EXPECT_LT(executor.middle, 1e-5);
  EXPECT_LT(executor.worst, bound);
  RecordProperty("executor", std::to_string(executor.worst));
  if (!GetParam().runs) return;
  const Differences runtime = differences(runtime_logits(one), expected);
  EXPECT_LT(runtime.middle, 1e-5);
  EXPECT_LT(runtime.worst, bound);
  RecordProperty("runtime", std::to_string(runtime.worst));
}

TEST(OnnxImportOperationsTest, EveryExportedOperationIsReadBack) {
  if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  for (OpCase& op : op_cases()) {
    if (op.name == "nothing") continue;  // a network of no layers, once dropout is gone
    OracleCase one{.name = op.name, .checkpoint = {}, .samples = {}};
    one.samples = random_samples(op.graph, kSamples, std::max(op.vocabulary, std::int64_t{1}));
    one.checkpoint.parameters = random_parameters(op.graph, 5);
    one.checkpoint.graph = std::move(op.graph);
    OracleCase read = one;
    read.checkpoint = from_onnx(to_onnx(one.checkpoint, {.version = "1", .metadata = {}}), op.name);
    EXPECT_LT(relative_difference(executor_logits(read), executor_logits(one)), 1e-5) << op.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, OnnxImportRuntimeTest,
                         testing::Values(Elsewhere{"image_traced13"}, Elsewhere{"image_traced17"},
                                         Elsewhere{"image_traced20"}, Elsewhere{"image_dynamo20"},
                                         Elsewhere{"steps_traced13", false, false},
                                         Elsewhere{"steps_dynamo18", false, false},
                                         Elsewhere{"plain_traced17"},
                                         Elsewhere{"plain_unsigned", true},
                                         Elsewhere{"plain_signed", true},
                                         Elsewhere{"plain_trained", true}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace coppice
