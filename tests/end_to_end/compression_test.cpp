// The headline, in eight of its twenty rounds: the whole file a twentieth of the dense network's.

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

using CompressionRunTest = RunTest;

TEST_F(CompressionRunTest, FileIsATwentiethWithNearlyTheDenseAccuracyAndFewBytesUp) {
  const std::string config = std::string(COPPICE_SOURCE_DIR) + "/configs/fct/fashion_mnist.yaml";
  const Outcome outcome =
      run({.out = "fct",
           .more = {config, "train.rounds=8", "compress.constraints.min_retention=0.96"},
           .threads = 2});
  if (outcome.exit_code == 2 && outcome.err.find("fashion_mnist") != std::string::npos)
    GTEST_SKIP() << "Fashion-MNIST is not installed: " << outcome.err;
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  const RunResult result = result_of(path("fct"));
  const Json summary = Json::parse(result.summary, "summary");
  const double dense_bytes = summary.at("dense_bytes").as_number();
  EXPECT_LE(summary.at("model_bytes").as_number(), dense_bytes / 20.0);
  EXPECT_GE(summary.at("retention").as_number(), 0.96);
  const double control = summary.at("control_bytes_up").as_number();
  EXPECT_LE(summary.at("bytes_up").as_number() - control, 0.05 * control);
}

}  // namespace
}  // namespace coppice::testing
