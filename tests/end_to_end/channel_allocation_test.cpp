// Widths as a part of the choice, end to end: smaller networks, one model for every number of
// ranks, and none lost by a kill.

#include <csignal>

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

class ChannelAllocationRunTest : public RunTest {
 protected:
  // A network whose layers can all be narrower but the last, for `bytes`.
  std::vector<std::string> narrowed(const std::string& shares, int bytes) const {
    return {"allocated.yaml",
            "train.rounds=6",
            "compress.prune.pruner=none",
            "compress.constraints={max_bytes: " + std::to_string(bytes) + "}",
            "compress.allocate={allocator: joint, densities: [1], bits: [8], batches: 2, "
            "half_batch: 4, steps: 2, channel_shares: " +
                shares + "}",
            "comm={codec: stc, error_feedback: true, downlink: {codec: topk, fraction: 0.2}}"};
  }
};

TEST_F(ChannelAllocationRunTest, AFileIsMadeToFitByChannelsAlone) {
  const Json wide = summary_of({.out = "wide", .more = narrowed("[]", 20'000)});
  const int target = static_cast<int>(wide.at("model_bytes").as_integer()) * 3 / 4;
  const Json narrow = summary_of({.out = "narrow", .more = narrowed("[0.75, 0.5]", target)});
  EXPECT_LE(narrow.at("model_bytes").as_integer(), target);
  // Nothing but widths could do that: there is one density and one number of bits.
  EXPECT_LT(narrow.at("parameters").as_integer(), wide.at("parameters").as_integer());
  const std::string metrics = content_of(path("narrow/metrics.jsonl"));
  EXPECT_NE(metrics.find("\"channels\":0."), std::string::npos);
  const Json report = Json::parse(content_of(path("narrow/model/report.json")), "report.json");
  EXPECT_NE(report.dump().find("channels"), std::string::npos);
}

TEST_F(ChannelAllocationRunTest, AKilledRunEndsAsIfNothingHadHappened) {
  const std::vector<std::string> more = narrowed("[0.75, 0.5]", 4'000);
  summary_of({.out = "undisturbed", .more = more});
  const RunResult expected = result_of(path("undisturbed"));
  RunRequest request{.out = "killed", .more = more};
  for (const char* place :
       {"after_client:38", "after_apply:3", "after_sense:2", "before_commit:2"}) {
    request.environment = {std::string("COPPICE_FAILPOINT=") + place};
    const Outcome outcome = run(request);
    EXPECT_EQ(outcome.signal, SIGKILL) << place << '\n' << outcome.out << outcome.err;
    if (request.more.back() != "--resume") request.more.emplace_back("--resume");
  }
  request.environment.clear();
  summary_of(request);
  const RunResult resumed = result_of(path("killed"));
  EXPECT_EQ(resumed.metrics, expected.metrics);
  EXPECT_TRUE(resumed == expected);
}

TEST_F(ChannelAllocationRunTest, WhoGivesNoWidthsIsRefused) {
  std::vector<std::string> more = narrowed("[0.5]", 4'000);
  more.emplace_back("compress.allocate.allocator=uniform");
  expect_refused({.more = more}, "compress.allocate.channel_shares");
}

class MpiChannelAllocationTest : public ChannelAllocationRunTest {};

TEST_F(MpiChannelAllocationTest, ModelIsOneForEveryNumberOfProcesses) {
  const std::vector<std::string> more = narrowed("[0.75, 0.5]", 4'000);
  const std::string alone = model_of({.out = "alone", .more = more});
  for (const int processes : {1, 2, 3}) {
    const std::string out = "np" + std::to_string(processes);
    EXPECT_EQ(model_of({.out = out, .more = more, .processes = processes}), alone) << processes;
    EXPECT_EQ(result_of(path(out)).metrics, result_of(path("alone")).metrics) << processes;
  }
}

}  // namespace
}  // namespace coppice::testing
