// A client that trains into NaN is refused by name, and the model is the one without it.

#include <csignal>

#include "tests/end_to_end/run_fixture.h"
#include "tests/end_to_end/tiny_data.h"

namespace coppice::testing {
namespace {

class RefusedClientTest : public RunTest {
 protected:
  RefusedClientTest() {
    write_tiny_npz(path("with.npz"), 5, 4);
    write_tiny_npz(path("exploding.npz"), 5, 4, 30'000.0F);
    write_tiny_npz(path("without.npz"), 4);
  }

  static std::vector<std::string> on(const std::string& file, std::vector<std::string> more) {
    more.insert(more.begin(), {"data.name=npz", "data.root=" + file, "data.partition.scheme=by_key",
                               "data.partition.clients=0", "compress.control=false"});
    return more;
  }

  // `refused` times in all, at least once in each of the main track's first three rounds.
  void expect_equal_without(const std::vector<std::string>& more, int refused = 3,
                            const std::string& file = "with.npz") const {
    const Outcome outcome = run({.out = "with", .more = on(file, more)});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    for (int round = 1; round <= 3; ++round) {
      const std::string line =
          "event=refused round=" + std::to_string(round) + " track=main client=4 reason=";
      EXPECT_NE(outcome.out.find(line), std::string::npos) << line << " is not in:\n"
                                                           << outcome.out;
    }
    EXPECT_EQ(outcome.out.find("client=3 reason"), std::string::npos) << outcome.out;
    const Json summary = Json::parse(content_of(path("with") / "summary.json"), "summary.json");
    EXPECT_EQ(summary.at("clients_refused").as_integer(), refused);
    EXPECT_EQ(summary.at("model_sha256").as_text(),
              model_of({.out = "without", .more = on("without.npz", more)}));
  }
};

TEST_F(RefusedClientTest, LeavesTheModelOfTheOthers) {
  expect_equal_without({"data.validation_fraction=0"});
}

TEST_F(RefusedClientTest, WithValidationDataLeavesTheModelOfTheOthers) {
  expect_equal_without({"data.validation_fraction=0.25"});
}

TEST_F(RefusedClientTest, UnderInt8LeavesTheModelOfTheOthers) {
  expect_equal_without({"data.validation_fraction=0", "comm.codec=int8"});
}

TEST_F(RefusedClientTest, InEveryPhaseOfThePipelineLeavesTheModelOfTheOthers) {
  expect_equal_without({"data.validation_fraction=0",
                        "compress.quantize={bits: 8, start: 0.6, calibration_samples: 12}",
                        "compress.distill={teacher: warmup}"});
}

TEST_F(RefusedClientTest, WithAllocationLeavesTheModelOfTheOthers) {
  expect_equal_without({"data.validation_fraction=0", "compress.prune.pruner=none",
                        "compress.constraints.max_bytes=600",
                        "compress.allocate={allocator: joint, batches: 2, half_batch: 4}",
                        "compress.quantize.calibration_samples=12"});
}

// It has no say in the judgements either: its held-out samples are as wild as the others. In the
// quantized rounds, whose grids would make them look harmless, it is refused for them.
const std::vector<std::string> kGated{
    "data.validation_fraction=0.25",
    "train.rounds=6",
    "compress.prune.pruner=none",
    "compress.control=true",
    "compress.constraints={max_bytes: 600, min_retention: 0.3}",
    "compress.allocate={allocator: joint, start: 0.35, end: 0.7, batches: 2, half_batch: 4}",
    "compress.gate.recovery_rounds=1",
    "compress.quantize.calibration_samples=12"};

TEST_F(RefusedClientTest, WithAGateLeavesTheModelOfTheOthers) { expect_equal_without(kGated, 12); }

TEST_F(RefusedClientTest, ThatExplodesWithAGateLeavesTheModelOfTheOthers) {
  std::vector<std::string> more = kGated;
  more.emplace_back("train.max_update_norm=20");
  expect_equal_without(more, 12, "exploding.npz");
}

TEST_F(RefusedClientTest, StaysRefusedAfterAKill) {
  RunRequest request{.out = "killed",
                     .more = on("with.npz", {}),
                     .environment = {"COPPICE_FAILPOINT=after_apply:3"}};
  ASSERT_EQ(run(request).signal, SIGKILL);
  request.environment.clear();
  request.more.emplace_back("--resume");
  const Json resumed = summary_of(request);
  const Json whole = summary_of({.out = "whole", .more = on("with.npz", {})});
  EXPECT_EQ(resumed.at("clients_refused").as_integer(), 3);
  EXPECT_EQ(resumed.at("model_sha256"), whole.at("model_sha256"));
  EXPECT_EQ(result_of(path("killed")), result_of(path("whole")));
}

// Nobody is left to learn from: the model stays as it began, and the run says so instead of
// failing.
TEST_F(RefusedClientTest, LeavesTheModelUnchangedIfThereIsNoOther) {
  const std::vector<std::string> more{"train.max_update_norm=1e-9", "compress.control=false"};
  const Json summary = summary_of({.more = more});
  EXPECT_EQ(summary.at("clients_refused").as_integer(), 15);
  EXPECT_EQ(summary.at("parameters"), summary.at("dense_parameters"));
}

}  // namespace
}  // namespace coppice::testing
