#include "coordinator/run_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "core/digest.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "tests/coordinator/temporary_folder.h"

namespace coppice {
namespace {

constexpr const char* kConfig = "name: a\nseed: 1\ntrain:\n  rounds: 10\n";

class RunFolderTest : public testing::Test {
 protected:
  std::string create_error() const {
    return message_of<ConfigError>([this] { RunFolder::create(path_, kConfig); });
  }
  std::string resume_error(const char* config = kConfig) const {
    return message_of<ConfigError>([&] { RunFolder::resume(path_, config); });
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "results" / "run";  // neither exists
};

using RunFolderDeathTest = RunFolderTest;

TEST_F(RunFolderTest, NewRunHasItsConfigAndFoldersAndMissingParents) {
  const RunFolder run = RunFolder::create(path_, kConfig);
  EXPECT_EQ(content_of(path_ / "config.resolved.yaml"), kConfig);
  for (const char* name : {"journal", "checkpoints", "model"})
    EXPECT_TRUE(std::filesystem::is_directory(path_ / name));
  EXPECT_EQ(run.journal_path(), path_ / "journal" / "journal.bin");
}

TEST_F(RunFolderTest, EmptyFolderIsTakenAndAFullOneIsLeftAlone) {
  std::filesystem::create_directories(path_);
  { const RunFolder run = RunFolder::create(path_, kConfig); }
  std::filesystem::remove_all(path_);
  std::filesystem::create_directories(path_);
  put(path_ / "thesis.txt", "ten years of work");
  EXPECT_NE(create_error().find("exists and is not empty"), std::string::npos) << create_error();
  EXPECT_EQ(content_of(path_ / "thesis.txt"), "ten years of work");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path_), {}), 1);
}

TEST_F(RunFolderTest, FinishedRunIsNotOverwritten) {
  { RunFolder::create(path_, kConfig).write_summary("{}"); }
  EXPECT_NE(create_error().find("--resume"), std::string::npos) << create_error();
  EXPECT_EQ(content_of(path_ / "summary.json"), "{}");
}

TEST_F(RunFolderTest, RunKilledBeforeItsConfigWasWrittenCountsAsEmpty) {
  std::filesystem::create_directories(path_);
  put(path_ / "lock", "");
  put(path_ / "config.resolved.yaml.tmp", "name");
  EXPECT_NE(resume_error().find("is not a run"), std::string::npos);
  EXPECT_EQ(create_error(), "");
}

TEST_F(RunFolderTest, PathThatIsAFileOrBelowOneIsNamed) {
  put(folder_.path() / "results", "a file");
  EXPECT_NE(create_error().find((folder_.path() / "results").string()), std::string::npos)
      << create_error();
  path_ = folder_.path() / "results";
  EXPECT_NE(create_error().find("Not a directory"), std::string::npos) << create_error();
  EXPECT_EQ(content_of(folder_.path() / "results"), "a file");
}

TEST_F(RunFolderTest, SecondUserIsToldThatTheFolderIsInUse) {
  std::optional<RunFolder> run = RunFolder::create(path_, kConfig);
  EXPECT_NE(resume_error().find("is in use"), std::string::npos) << resume_error();
  EXPECT_NE(create_error().find("is in use"), std::string::npos) << create_error();
  run.reset();
  EXPECT_EQ(resume_error(), "");
}

TEST_F(RunFolderTest, LockOfAKilledProcessIsFree) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const RunFolder run = RunFolder::create(path_, kConfig);
    [[maybe_unused]] const auto told = ::write(ready[1], "x", 1);
    ::pause();
    std::_Exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_NE(resume_error().find("is in use"), std::string::npos) << resume_error();
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(resume_error(), "");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RunFolderTest, FolderThatIsNoRunCannotBeResumedAndIsNotTouched) {
  EXPECT_NE(resume_error().find("is not a run"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::filesystem::create_directories(path_);
  EXPECT_NE(resume_error().find("is not a run"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(RunFolderTest, OtherConfigIsRefusedByItsFirstDifferingLine) {
  { const RunFolder run = RunFolder::create(path_, kConfig); }
  const auto other = resume_error("name: a\nseed: 2\ntrain:\n  rounds: 11\n");
  EXPECT_NE(other.find("line 2: expected 'seed: 1' as the run was started with, got 'seed: 2'"),
            std::string::npos)
      << other;
  const auto shorter = resume_error("name: a\nseed: 1\n");
  EXPECT_NE(shorter.find("line 3: expected 'train:' as the run was started with, got the end"),
            std::string::npos)
      << shorter;
  const auto longer = resume_error("name: a\nseed: 1\ntrain:\n  rounds: 10\nx: 1\n");
  EXPECT_NE(longer.find("line 5: expected the end of the config"), std::string::npos) << longer;
  EXPECT_EQ(content_of(path_ / "config.resolved.yaml"), kConfig);
}

TEST_F(RunFolderTest, TwoCheckpointsAlternate) {
  const RunFolder run = RunFolder::create(path_, kConfig);
  for (const std::int64_t commit : {0, 1, 2, 3, 4})
    run.write_checkpoint(commit, bytes_of("commit " + std::to_string(commit)));
  const auto read = [&](std::int64_t commit) {
    const auto bytes = run.read_checkpoint(RunFolder::checkpoint_name(commit));
    return std::string(bytes.begin(), bytes.end());
  };
  EXPECT_EQ(read(4), "commit 4");
  EXPECT_EQ(read(3), "commit 3");
  EXPECT_EQ(RunFolder::checkpoint_name(2), "checkpoints/a.safetensors");
}

TEST_F(RunFolderTest, CheckpointOutsideTheFolderIsNotRead) {
  const RunFolder run = RunFolder::create(path_, kConfig);
  EXPECT_THROW(run.read_checkpoint("../../secret"), ConfigError);
  EXPECT_THROW(run.read_checkpoint(RunFolder::checkpoint_name(0)), DataError);
}

TEST_F(RunFolderDeathTest, DeathDuringACheckpointLeavesBothOlderOnes) {
  std::optional<RunFolder> run = RunFolder::create(path_, kConfig);
  run->write_checkpoint(0, bytes_of("zero"));
  run->write_checkpoint(1, bytes_of("one"));
  const auto die = [&] {
    setenv("COPPICE_FAILPOINT", "during_checkpoint:1", 1);
    arm_failpoints();
    run->write_checkpoint(2, bytes_of("two"));
  };
  EXPECT_EXIT(die(), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(content_of(path_ / "checkpoints" / "a.safetensors"), "zero");
  EXPECT_EQ(content_of(path_ / "checkpoints" / "b.safetensors"), "one");
}

TEST_F(RunFolderTest, MetricsAreRewrittenToTheCommittedLinesAndGrow) {
  const RunFolder run = RunFolder::create(path_, kConfig);
  run.append_metrics(R"({"round":1})");
  run.append_metrics(R"({"round":2})");
  run.rewrite_metrics(std::vector<std::string>{R"({"round":1})"});
  run.append_metrics(R"({"round":2,"again":true})");
  EXPECT_EQ(content_of(path_ / "metrics.jsonl"), "{\"round\":1}\n{\"round\":2,\"again\":true}\n");
}

}  // namespace
}  // namespace coppice
