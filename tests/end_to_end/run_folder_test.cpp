// The run folder defends what is in it: against a second run, another config, and bytes that
// changed.

#include <csignal>

#include "core/json.h"
#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kResume{"--resume"};

using RunFolderTest = RunTest;

TEST_F(RunFolderTest, ThatExistsIsNotOverwritten) {
  summary_of({});
  expect_refused({}, "run");
  expect_refused({.more = {"seed=9"}}, "run");
  fs::create_directory(path("other"));
  write("other/thesis.txt", "all of it");
  expect_refused({.out = "other"}, "other");
}

TEST_F(RunFolderTest, ThatIsAFileIsNotOverwritten) {
  write("file", "all of it");
  expect_refused({.out = "file"}, "file");
  expect_refused({.out = "file/below"}, "file");
  expect_refused({.out = "file", .more = kResume}, "file");
}

TEST_F(RunFolderTest, ThatIsEmptyIsTaken) {
  fs::create_directory(path("run"));
  EXPECT_EQ(summary_of({}).at("rounds").as_integer(), 3);
}

TEST_F(RunFolderTest, WithoutARunIsNotResumed) {
  expect_refused({.more = kResume}, "run");
  fs::create_directory(path("run"));
  expect_refused({.more = kResume}, "run");
  write("run/thesis.txt", "all of it");
  expect_refused({.more = kResume}, "run");
}

TEST_F(RunFolderTest, IsNotResumedWithAnotherConfigOrOtherData) {
  summary_of({});
  expect_refused({.more = {"seed=9", "--resume"}}, "seed");
  expect_refused({.more = {"train.rounds=4", "--resume"}}, "rounds");
  std::string images = content_of(path("images/train-images-idx3-ubyte"));
  images[5000] = static_cast<char>(images[5000] ^ 1);
  write("images/train-images-idx3-ubyte", images);
  expect_refused({.more = kResume}, "data");
}

TEST_F(RunFolderTest, ThatAnotherProcessUsesIsLeftToIt) {
  Process first(command({.more = {"train.rounds=100000"}}));
  std::optional<std::string> line = first.read_line();
  while (line && !line->starts_with("round ")) line = first.read_line();
  ASSERT_TRUE(line) << first.wait().err;
  for (const std::string flag : {"--resume", "seed=3"}) {
    const Outcome second = run({.more = {"train.rounds=100000", flag}});
    EXPECT_EQ(second.exit_code, 2) << second.out << second.err;
    expect_one_paragraph(second.err, "in use");
  }
  first.kill_job();
}

// Tests of a finished run whose bytes are changed one at a time. `Shard` of kShards: a part of the
// places.
constexpr std::size_t kShards = 4;
constexpr std::size_t kPlaces = 40;

class DamageTest : public RunTest, public ::testing::WithParamInterface<std::size_t> {
 protected:
  void SetUp() override { summary_of({.more = {"train.rounds=2", "compress.control=false"}}); }

  RunRequest resumption() const {
    return {.more = {"train.rounds=2", "compress.control=false", "--resume"}};
  }

  // Flips one bit at kPlaces places that spread over the whole file, both ends included.
  void expect_damage_is_refused(const std::string& name) const {
    const std::string intact = content_of(path(name));
    ASSERT_GT(intact.size(), kPlaces);
    for (std::size_t place = GetParam(); place < kPlaces; place += kShards) {
      const std::size_t at = (intact.size() - 1) * place / (kPlaces - 1);
      std::string damaged = intact;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << (place % 8)));
      write(name, damaged);
      SCOPED_TRACE(name + ", byte " + std::to_string(at));
      expect_refused(resumption(), fs::path(name).filename().string());
    }
    write(name, intact);
  }
};

TEST_P(DamageTest, OfTheCheckpointIsRefused) {
  expect_damage_is_refused("run/checkpoints/b.safetensors");
}

TEST_P(DamageTest, OfTheJournalIsRefused) { expect_damage_is_refused("run/journal/journal.bin"); }

INSTANTIATE_TEST_SUITE_P(Places, DamageTest, ::testing::Range<std::size_t>(0, kShards));

using TornTest = DamageTest;

TEST_P(TornTest, EndOfTheJournalIsCutAndTheRoundTrainedAgain) {
  const RunResult whole = result_of(path("run"));
  const std::string journal = content_of(path("run/journal/journal.bin"));
  const std::size_t last_record = journal.rfind("CPJ1");
  ASSERT_NE(last_record, std::string::npos);
  const std::size_t length = journal.size() - last_record;
  const std::size_t left = std::vector<std::size_t>{0, 7, length / 2, length - 1}.at(GetParam());
  write("run/journal/journal.bin", journal.substr(0, last_record + left));
  summary_of(resumption());
  EXPECT_EQ(result_of(path("run")), whole);
  EXPECT_EQ(content_of(path("run/journal/journal.bin")).substr(0, last_record),
            journal.substr(0, last_record));
}

INSTANTIATE_TEST_SUITE_P(Places, TornTest, ::testing::Range<std::size_t>(0, 4));

using LossTest = RunTest;

// The older checkpoint does not hold what the shortened journal says: refused, not guessed.
TEST_F(LossTest, OfTwoCommitsIsRefused) {
  summary_of({});
  std::string journal = content_of(path("run/journal/journal.bin"));
  for (int i = 0; i < 2; ++i) journal.resize(journal.rfind("CPJ1"));
  write("run/journal/journal.bin", journal);
  expect_refused({.more = kResume}, "safetensors");
}

TEST_F(LossTest, OfTheJournalOrTheCheckpointIsRefused) {
  summary_of({});
  const std::string checkpoint = content_of(path("run/checkpoints/b.safetensors"));
  fs::remove(path("run/checkpoints/b.safetensors"));
  expect_refused({.more = kResume}, "b.safetensors");
  write("run/checkpoints/b.safetensors", checkpoint);
  write("run/journal/journal.bin", "");
  expect_refused({.more = kResume}, "journal.bin");
  fs::remove(path("run/journal/journal.bin"));
  expect_refused({.more = kResume}, "journal.bin");
}

TEST_F(LossTest, OfTheConfigIsRefused) {
  summary_of({});
  std::string config = content_of(path("run/config.resolved.yaml"));
  config[config.size() / 2] = '~';
  write("run/config.resolved.yaml", config);
  expect_refused({.more = kResume}, "config.resolved.yaml");
  fs::remove(path("run/config.resolved.yaml"));
  expect_refused({.more = kResume}, "config.resolved.yaml");
}

TEST_F(LossTest, OfMetricsModelAndSummaryIsMadeGood) {
  summary_of({});
  const RunResult whole = result_of(path("run"));
  fs::remove(path("run/metrics.jsonl"));
  fs::remove(path("run/summary.json"));
  fs::remove(path("run/model/model.safetensors"));
  summary_of({.more = kResume});
  EXPECT_EQ(result_of(path("run")), whole);
}

}  // namespace
}  // namespace coppice::testing
