// How a run with a target ends: with a certificate, or with the frontier and exit code 3.

#include <algorithm>

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

class GateRunTest : public RunTest {
 protected:
  Json summary_after(const RunRequest& request, int exit_code) const {
    const Outcome outcome = run(request);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.out << outcome.err;
    said_ = outcome.out;
    return Json::parse(content_of(path(request.out) / "summary.json"), "summary.json");
  }
  std::vector<Json> gates_of(const std::string& out) const {
    std::vector<Json> gates;
    for (const std::string& line : result_of(path(out)).metrics) {
      const Json metrics = Json::parse(line, "metrics.jsonl");
      if (!metrics.at("gate").is_null()) gates.push_back(metrics.at("gate"));
    }
    return gates;
  }
  static std::vector<std::string> binding_of(const Json& summary) {
    std::vector<std::string> names;
    for (const Json& binding : summary.at("frontier").at("binding").as_array())
      names.push_back(binding.at("constraint").as_text());
    return names;
  }

  mutable std::string said_;
};

TEST_F(GateRunTest, TargetThatIsMetEndsWithACertificate) {
  const Json summary = summary_after({.more = {"gated.yaml"}}, 0);
  EXPECT_TRUE(summary.at("frontier").is_null());
  const Json& certificate = summary.at("certificate");
  EXPECT_EQ(certificate.at("model_sha256"), summary.at("model_sha256"));
  EXPECT_EQ(certificate.at("file_bytes"), summary.at("model_bytes"));
  EXPECT_EQ(certificate.at("seed").as_integer(), 3);
  EXPECT_GT(certificate.at("latency_us").at("p50").as_number(), 0.0);
  EXPECT_GE(certificate.at("gap").as_number(), 0.0);
  const Json& retention = certificate.at("retention");
  EXPECT_DOUBLE_EQ(retention.at("estimate").as_number(),
                   summary.at("validation_retention").as_number());
  EXPECT_NE(said_.find("certified: retention"), std::string::npos) << said_;
  const std::vector<Json> gates = gates_of("run");
  ASSERT_EQ(gates.size(), 3U);  // two choices and the finished model
  EXPECT_EQ(gates[1].at("progress").as_number(), 1.0);
  EXPECT_TRUE(gates[2].at("progress").is_null());
}

// Nothing keeps more than all of the accuracy twice over.
TEST_F(GateRunTest, RetentionOutOfReachTakesEveryChoiceBackAndSaysSo) {
  const Json summary =
      summary_after({.more = {"gated.yaml", "compress.constraints.min_retention=2"}}, 3);
  EXPECT_TRUE(summary.at("certificate").is_null());
  EXPECT_EQ(binding_of(summary), (std::vector<std::string>{"max_bytes", "min_retention"}));
  for (const Json& gate : gates_of("run")) EXPECT_FALSE(gate.at("passed").as_bool());
  EXPECT_GT(summary.at("model_bytes").as_integer(), 2000);
  // Undone, the model is the dense one in eight bits.
  const Json last = Json::parse(result_of(path("run")).metrics.back(), "metrics.jsonl");
  EXPECT_EQ(last.at("density").as_number(), 1.0);
  const Json::Array& measured = summary.at("frontier").at("measured").as_array();
  ASSERT_EQ(measured.size(), 3U);
  EXPECT_EQ(measured.back().at("file_bytes"), summary.at("model_bytes"));
  EXPECT_NE(said_.find("what binds"), std::string::npos) << said_;
}

// Names and scales alone take more.
TEST_F(GateRunTest, FileOutOfReachKeepsTheSmallestModelAndTheFrontier) {
  const Json summary =
      summary_after({.more = {"gated.yaml", "compress.gate.recovery_rounds=0",
                              "compress.constraints={max_bytes: 40, min_retention: 0.1}"}},
                    3);
  const std::vector<std::string> binding = binding_of(summary);
  EXPECT_NE(std::find(binding.begin(), binding.end(), "max_bytes"), binding.end());
  const Json::Array& predicted = summary.at("frontier").at("predicted").as_array();
  ASSERT_GE(predicted.size(), 3U);
  for (std::size_t i = 1; i < predicted.size(); ++i) {
    EXPECT_GT(predicted[i].at("bytes").as_integer(), predicted[i - 1].at("bytes").as_integer());
    EXPECT_LE(predicted[i].at("predicted_loss").as_number(),
              predicted[i - 1].at("predicted_loss").as_number());
  }
  const double smallest = predicted.front().at("bytes").as_number();
  EXPECT_GT(smallest, 40.0);
  // The model is there, and it is the smallest that the table knows, not one without weights.
  EXPECT_TRUE(std::filesystem::exists(path("run") / "model" / "model.cpk"));
  EXPECT_GT(summary.at("model_bytes").as_number(), 0.6 * smallest);
  EXPECT_LT(summary.at("model_bytes").as_number(), 1.1 * smallest);
}

TEST_F(GateRunTest, ResumedAfterItsEndSaysTheSame) {
  const RunRequest request{.more = {"gated.yaml", "compress.constraints.min_retention=2"}};
  summary_after(request, 3);
  const RunResult first = result_of(path("run"));
  RunRequest again = request;
  again.more.emplace_back("--resume");
  summary_after(again, 3);
  EXPECT_EQ(result_of(path("run")), first);
}

TEST_F(GateRunTest, GateThatCannotJudgeIsRefused) {
  const std::string key = "compress.gate.recovery_rounds";
  expect_refused({.more = {"gated.yaml", key + "=4"}}, key);
  expect_refused({.more = {"gated.yaml", "compress.allocate.allocator=none"}}, key);
  expect_refused({.more = {"gated.yaml", "compress.constraints.min_retention=null"}}, key);
  expect_refused({.more = {"gated.yaml", "compress.prune.pruner=magnitude"}}, key);
  expect_refused({.more = {"gated.yaml", "compress.gate.confidence=0.4"}},
                 "compress.gate.confidence");
}

}  // namespace
}  // namespace coppice::testing
