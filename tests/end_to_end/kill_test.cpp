// A run that is killed anywhere and resumed ends as if nothing had happened.

#include <algorithm>
#include <csignal>
#include <iterator>

#include "core/failpoint.h"
#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

// Later visits at which to die as well; the tiny run commits six rounds and trains five clients in
// each.
std::vector<int> visits_of(std::string_view failpoint) {
  if (failpoint == "after_client") return {1, 7, 18};
  if (failpoint == "after_sense") return {1, 7};        // of five clients' tables after two rounds
  if (failpoint == "after_compare") return {1, 7, 11};  // of five clients after four rounds
  if (failpoint == "after_count") return {1, 7};        // before and after the quantized round
  if (failpoint == "after_start" || failpoint == "after_control" || failpoint == "before_model" ||
      failpoint == "before_report" || failpoint == "before_summary") {
    return {1};
  }
  if (failpoint == "after_apply") return {1, 4, 6, 8};  // calibrations are applied too
  return {1, 4, 6};  // the control's first round, the first round that shrinks, the last
}

std::string name_and_count(std::string_view failpoint, int visit) {
  return "COPPICE_FAILPOINT=" + std::string(failpoint) + ':' + std::to_string(visit);
}

class KillTest : public RunTest {
 protected:
  void run_and_die(RunRequest request, std::string_view failpoint, int visit) const {
    request.environment.push_back(name_and_count(failpoint, visit));
    const Outcome outcome = run(request);
    if (request.processes == 0) {
      EXPECT_EQ(outcome.signal, SIGKILL) << failpoint << ':' << visit << '\n'
                                         << outcome.out << outcome.err;
    } else {
      EXPECT_EQ(outcome.exit_code, 128 + SIGKILL) << failpoint << ':' << visit << '\n'
                                                  << outcome.out << outcome.err;
    }
  }

  void expect_resumed_equal(const RunRequest& request, const RunResult& undisturbed) const {
    RunRequest again = request;
    again.more.emplace_back("--resume");
    summary_of(again);
    expect_equal(result_of(path(request.out)), undisturbed);
  }

  static void expect_equal(const RunResult& result, const RunResult& undisturbed) {
    EXPECT_EQ(result.metrics, undisturbed.metrics);
    EXPECT_EQ(result.summary, undisturbed.summary);
    EXPECT_TRUE(result.model == undisturbed.model) << "model.safetensors differs";
    EXPECT_TRUE(result.dense == undisturbed.dense) << "dense.safetensors differs";
    EXPECT_TRUE(result.cpk == undisturbed.cpk) << "model.cpk differs";
    EXPECT_TRUE(result.onnx == undisturbed.onnx) << "model.onnx differs";
  }

  RunResult undisturbed(const std::vector<std::string>& more = {}) const {
    summary_of({.out = "undisturbed", .more = more});
    return result_of(path("undisturbed"));
  }
};

class KillAtFailpointTest : public KillTest,
                            public ::testing::WithParamInterface<std::string_view> {};

TEST_P(KillAtFailpointTest, ResumesToTheUndisturbedRun) {
  // One config has all that clients are asked for, the other is the one that most runs are like.
  const bool is_sensing = GetParam() == "after_sense" || GetParam() == "after_commit";
  const char* config = GetParam() == "after_compare" ? "gated.yaml"
                       : is_sensing                  ? "allocated.yaml"
                                                     : "compressed.yaml";
  const std::vector<std::string> more{config, "comm.codec=int8"};
  const RunResult expected = undisturbed(more);
  EXPECT_FALSE(expected.cpk.empty());
  for (const int visit : visits_of(GetParam())) {
    SCOPED_TRACE(name_and_count(GetParam(), visit));
    const RunRequest request{.out = "killed" + std::to_string(visit), .more = more};
    run_and_die(request, GetParam(), visit);
    expect_resumed_equal(request, expected);
  }
}

// Those that are devices' are reached in edge_test.cpp.
std::vector<std::string_view> failpoints_of_ranks() {
  std::vector<std::string_view> out;
  std::ranges::copy_if(known_failpoints(), std::back_inserter(out), [](std::string_view name) {
    return name != "after_answer" && name != "after_acceptance";
  });
  return out;
}

INSTANTIATE_TEST_SUITE_P(Failpoints, KillAtFailpointTest,
                         ::testing::ValuesIn(failpoints_of_ranks()),
                         [](const auto& test) { return std::string(test.param); });

// Of rounds 2 to 4, at whose ends the mask moves, the last two are broken off and run again.
TEST_F(KillTest, WhileTheMaskMovesResumesToTheUndisturbedRun) {
  for (const std::string allocator : {"feddst", "fedrts"}) {
    SCOPED_TRACE(allocator);
    const std::vector<std::string> more{"allocated.yaml",
                                        "train.rounds=6",
                                        "compress.control=false",
                                        "compress.distill.teacher=none",
                                        "compress.prune.pruner=none",
                                        "compress.allocate.start=0",
                                        "compress.allocate.allocator=" + allocator};
    summary_of({.out = allocator, .more = more});
    const RunResult expected = result_of(path(allocator));
    RunRequest request{.out = allocator + "-killed", .more = more};
    run_and_die(request, "before_commit", 3);
    request.more.emplace_back("--resume");
    run_and_die(request, "after_client", 7);
    summary_of(request);
    expect_equal(result_of(path(request.out)), expected);
  }
}

TEST_F(KillTest, SeveralTimesInOneRunIsAsGoodAsNever) {
  const std::vector<std::string> more{
      "strategy.server_momentum=0.5"};  // state of the server besides the model
  const RunResult expected = undisturbed(more);
  RunRequest request{.out = "killed", .more = more};
  run_and_die(request, "during_commit", 1);  // not even the journal's first record
  request.more.emplace_back("--resume");
  run_and_die(request, "after_client", 8);
  run_and_die(request, "during_checkpoint", 3);
  run_and_die(request, "before_commit", 2);
  run_and_die(request, "after_checkpoint", 1);
  run_and_die(request, "before_summary", 1);
  summary_of(request);
  expect_equal(result_of(path("killed")), expected);
}

// What clients have left out and what they hold of the model is a part of the state.
TEST_F(KillTest, LosesNoResidualAndNoSentModel) {
  const std::vector<std::string> more{
      "allocated.yaml", "train.rounds=4", "train.clients_per_round=3",
      "comm={codec: stc, error_feedback: true, downlink: {codec: topk, fraction: 0.2}}"};
  const RunResult expected = undisturbed(more);
  RunRequest request{.out = "killed", .more = more};
  run_and_die(request, "after_client", 14);
  request.more.emplace_back("--resume");
  run_and_die(request, "after_apply", 2);
  run_and_die(request, "after_broadcast", 3);
  run_and_die(request, "before_commit", 1);
  summary_of(request);
  expect_equal(result_of(path("killed")), expected);
}

TEST_F(KillTest, LosesNoLevelsOfClients) {
  const std::vector<std::string> more{"train.rounds=8", "train.optimizer.lr=1e-6",
                                      "comm.codec=dadaquant", "compress.control=false"};
  const RunResult expected = undisturbed(more);
  RunRequest request{.out = "killed", .more = more};
  run_and_die(request, "before_commit", 3);
  request.more.emplace_back("--resume");
  run_and_die(request, "after_client", 12);
  summary_of(request);
  expect_equal(result_of(path("killed")), expected);
}

TEST_F(KillTest, AfterTheEndResumesToTheSameResult) {
  const RunResult expected = undisturbed();
  expect_resumed_equal({.out = "undisturbed"}, expected);
}

TEST_F(KillTest, LeavesTheFirstRoundsToAResumeWithAnyNumberOfThreads) {
  const RunResult expected = undisturbed();
  const RunRequest request{.out = "killed", .threads = 2};
  run_and_die(request, "after_apply", 5);
  expect_resumed_equal({.out = "killed", .threads = 3}, expected);
}

TEST_F(KillTest, AskedForAnUnknownFailpointIsRefused) {
  expect_refused({.environment = {"COPPICE_FAILPOINT=before_comit:1"}}, "before_commit");
  expect_refused({.environment = {"COPPICE_FAILPOINT=before_commit:0"}}, "COPPICE_FAILPOINT");
}

struct MpiKill {
  const char* failpoint;
  int visit;
  int processes;          // killed
  int resumed_processes;  // 0: without mpirun
};
std::ostream& operator<<(std::ostream& out, const MpiKill& kill) {
  return out << kill.failpoint << ':' << kill.visit;
}

class MpiKillTest : public KillTest, public ::testing::WithParamInterface<MpiKill> {};

TEST_P(MpiKillTest, ResumesToTheUndisturbedRunWithAnotherNumberOfProcesses) {
  const RunResult expected = undisturbed();
  const MpiKill& kill = GetParam();
  run_and_die({.out = "killed", .processes = kill.processes}, kill.failpoint, kill.visit);
  expect_resumed_equal({.out = "killed", .processes = kill.resumed_processes}, expected);
}

INSTANTIATE_TEST_SUITE_P(Failpoints, MpiKillTest,
                         ::testing::Values(MpiKill{"after_client", 3, 2, 2},
                                           MpiKill{"after_train", 4, 2, 3},
                                           MpiKill{"before_commit", 2, 2, 0},
                                           MpiKill{"after_broadcast", 5, 3, 1},
                                           MpiKill{"during_checkpoint", 6, 2, 2}),
                         [](const auto& test) { return std::string(test.param.failpoint); });

using MpiJobTest = KillTest;

TEST_F(MpiJobTest, KilledAsAWholeLosesNothingThatWasCommitted) {
  // Long rounds, so that the job is far from its end when the line is read.
  const std::vector<std::string> more{"compress.control=false", "train.rounds=12",
                                      "train.local_epochs=20"};
  const RunResult expected = undisturbed(more);
  int resumed_processes = 1;
  for (const std::string out : {"first", "second"}) {
    Process job(command({.out = out, .more = more, .processes = 2}));
    std::optional<std::string> line = job.read_line();
    while (line && line->find("round   2/") == std::string::npos) line = job.read_line();
    ASSERT_TRUE(line) << job.wait().err;
    job.kill_job();
    ASSERT_FALSE(std::filesystem::exists(path(out) / "summary.json"))
        << "the job was done before it was killed";
    expect_resumed_equal({.out = out, .more = more, .processes = resumed_processes}, expected);
    ++resumed_processes;
  }
}

}  // namespace
}  // namespace coppice::testing
