#include "coordinator/run_session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/checkpoint.h"
#include "core/file.h"
#include "tests/coordinator/fake_population.h"
#include "tests/coordinator/temporary_folder.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRounds = 6;  // 3 of the control, 3 of the main track

class RunSessionTest : public testing::Test {
 protected:
  SessionRequest request(bool is_resumed) const {
    return {.out = path_,
            .is_resumed = is_resumed,
            .resolved_config = "rounds: 3\n",
            .identity = {"0.1", "c0ffee", "da7a", "libtorch", "AVX2", "libtorch 2"}};
  }

  // Carries a driver's rounds into a session: at most `rounds` commits.
  static void advance(RunSession& session, FakeDriver& driver, std::size_t rounds) {
    Action action = driver.begin();
    while (!std::holds_alternative<Finish>(action) && rounds > 0) {
      if (const auto* commit = std::get_if<CommitRound>(&action)) {
        session.commit(commit->record, {.train = 1.0, .evaluate = 0.5, .busy = {0.75, 0.5}},
                       driver.state());
        --rounds;
      }
      action = driver.obey(action);
    }
  }

  // A run that was killed after `rounds` commits.
  void run_for(std::size_t rounds) const {
    FakeDriver driver(pruned_config(3), {});
    RunSession session(request(false), driver.machine());
    advance(session, driver, rounds);
  }

  std::string resume_error() const {
    FakeDriver driver(pruned_config(3), {});
    return thrown_text<Error>([&] { RunSession(request(true), driver.machine()); });
  }

  // Everything under the run folder.
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> files;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path_)) {
      if (entry.is_regular_file()) files[entry.path().string()] = content_of(entry.path());
    }
    return files;
  }

  // Every sampled byte of `file`, flipped, is refused by name, with nothing changed.
  void expect_every_flip_refused(const fs::path& file, std::size_t step) const {
    const std::string whole = content_of(file);
    ASSERT_GT(whole.size(), 100U);
    for (std::size_t at = 0; at < whole.size(); at += step) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ (1U << (at % 8)));
      put(file, damaged);
      const auto before = content();
      const std::string error = resume_error();
      ASSERT_TRUE(contains(error, file.filename().string())) << at << ": " << error;
      ASSERT_EQ(content(), before) << at;
    }
    put(file, whole);
    EXPECT_EQ(resume_error(), "");
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "run";
};

TEST_F(RunSessionTest, RunKilledAfterAnyCommitResumesToTheSameModel) {
  const ServerState whole = FakeDriver(pruned_config(3), {}).run_all();
  for (std::size_t killed = 0; killed <= kRounds; ++killed) {
    fs::remove_all(path_);
    run_for(killed);
    FakeDriver driver(pruned_config(3), {}, 2, 1);
    RunSession session(request(true), driver.machine());
    EXPECT_EQ(session.resumed_rounds(), static_cast<std::int64_t>(killed));
    EXPECT_EQ(session.metrics().size(), killed);
    advance(session, driver, kRounds);
    EXPECT_EQ(driver.state().parameters, whole.parameters) << killed;
    EXPECT_EQ(driver.state().graph, whole.graph) << killed;
    EXPECT_EQ(session.metrics().size(), kRounds);
    EXPECT_EQ(read_journal(path_ / "journal/journal.bin").records.size(), kRounds + 1);
  }
}

TEST_F(RunSessionTest, MetricsAreALineARoundAndFollowTheJournalOnResume) {
  run_for(4);
  const std::string written = content_of(path_ / "metrics.jsonl");
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 4);
  const Json first = Json::parse(written.substr(0, written.find('\n')), "metrics.jsonl");
  EXPECT_EQ(first.at("phase").as_text(), "control");
  EXPECT_EQ(first.at("test_accuracy").as_number(), 0.75);
  EXPECT_EQ(first.at("validation_accuracy").as_number(), 0.25);
  EXPECT_EQ(first.at("seconds").as_number(), 1.0);
  EXPECT_EQ(first.at("utilisation").dump(), "[0.75,0.5]");
  EXPECT_TRUE(first.at("train_memory_bytes").is_null());
  EXPECT_EQ(first.at("samples").as_integer(), 95);
  EXPECT_EQ(first.at("bytes_up").as_integer(), 600);
  EXPECT_EQ(first.at("refused").as_integer(), 0);
  put(path_ / "metrics.jsonl", written + "{\"round\":99}\n{\"half");
  EXPECT_EQ(resume_error(), "");
  EXPECT_EQ(content_of(path_ / "metrics.jsonl"), written);
}

TEST_F(RunSessionTest, ControlIsKeptAsTheDenseModel) {
  run_for(3);
  const auto bytes = read_file(path_ / "model/dense.safetensors");
  const Checkpoint dense = checkpoint_from_bytes(bytes, "dense");
  EXPECT_EQ(dense.graph, small_model().graph);
  EXPECT_TRUE(dense.server_state.empty());
  EXPECT_EQ(dense.provenance.at("config_sha256"), "c0ffee");
}

TEST_F(RunSessionTest, ModelAndSummaryAreWrittenWhereTheyBelong) {
  FakeDriver driver(pruned_config(3), {});
  RunSession session(request(false), driver.machine());
  advance(session, driver, kRounds);
  const Checkpoint model = session.finished_model(driver.state(), 3);
  session.write_model(model);
  const Checkpoint read =
      checkpoint_from_bytes(read_file(path_ / "model/model.safetensors"), "model");
  EXPECT_EQ(model_sha256(read), model_sha256(model));
  EXPECT_EQ(read.parameters, driver.state().parameters);
  EXPECT_EQ(read.provenance.at("config_sha256"), "c0ffee");
  EXPECT_TRUE(read.server_state.empty());
  session.write_report(Json(Json::Object{{"file_bytes", 7}}));
  EXPECT_EQ(content_of(path_ / "model/report.json"), "{\n  \"file_bytes\": 7\n}\n");
  session.write_summary(Json(Json::Object{{"a", 1}}));
  EXPECT_EQ(content_of(path_ / "summary.json"), "{\n  \"a\": 1\n}\n");
}

TEST_F(RunSessionTest, RunOfAnotherIdentityIsNotResumed) {
  run_for(2);
  const auto before = content();
  const auto error_with = [&](auto&& change) {
    SessionRequest other = request(true);
    change(other.identity);
    FakeDriver driver(pruned_config(3), {});
    return thrown_text<ConfigError>([&] { RunSession(other, driver.machine()); });
  };
  EXPECT_TRUE(contains(error_with([](RunIdentity& i) { i.data_sha256 = "x"; }), "data 'da7a'"));
  EXPECT_TRUE(
      contains(error_with([](RunIdentity& i) { i.executor = "resident"; }), "executor 'libtorch'"));
  EXPECT_TRUE(contains(error_with([](RunIdentity& i) { i.isa = "AVX512"; }), "'AVX512'"));
  EXPECT_TRUE(
      contains(error_with([](RunIdentity& i) { i.libraries = "libtorch 3"; }), "libraries"));
  EXPECT_TRUE(contains(error_with([](RunIdentity& i) { i.version = "0.2"; }), "version"));
  EXPECT_TRUE(contains(error_with([](RunIdentity& i) { i.config_sha256 = "0"; }), "config"));
  EXPECT_EQ(content(), before);
}

TEST_F(RunSessionTest, DamagedJournalIsRefusedAndNothingIsChanged) {
  run_for(3);
  expect_every_flip_refused(path_ / "journal/journal.bin", 29);
}

TEST_F(RunSessionTest, DamagedCheckpointIsRefusedAndNothingIsChanged) {
  run_for(3);  // commit 2 lies in a
  expect_every_flip_refused(path_ / "checkpoints/a.safetensors", 23);
}

TEST_F(RunSessionTest, TruncatedCheckpointIsRefused) {
  run_for(3);
  const std::string whole = content_of(path_ / "checkpoints/a.safetensors");
  for (std::size_t n = 0; n < whole.size(); n += 61) {
    put(path_ / "checkpoints/a.safetensors", whole.substr(0, n));
    ASSERT_TRUE(contains(resume_error(), "a.safetensors")) << n;
  }
  fs::remove(path_ / "checkpoints/a.safetensors");
  EXPECT_TRUE(contains(resume_error(), "a.safetensors"));
}

// A crash can lose the record that was being written, not those before it.
TEST_F(RunSessionTest, JournalCutAnywhereGoesOnFromAnIntactCommitOrIsRefused) {
  const ServerState whole = FakeDriver(pruned_config(3), {}).run_all();
  run_for(3);
  fs::copy(path_, folder_.path() / "saved", fs::copy_options::recursive);
  const std::string journal = content_of(path_ / "journal/journal.bin");
  int resumed = 0;
  for (std::size_t n = 0; n < journal.size(); n += 149) {
    fs::remove_all(path_);
    fs::copy(folder_.path() / "saved", path_, fs::copy_options::recursive);
    put(path_ / "journal/journal.bin", journal.substr(0, n));
    const auto before = content();
    FakeDriver driver(pruned_config(3), {});
    try {
      RunSession session(request(true), driver.machine());
      ++resumed;
      ASSERT_EQ(session.resumed_rounds(), 2) << n;  // commit 1 is in b; what a held is older
      advance(session, driver, kRounds);
      ASSERT_EQ(driver.state().parameters, whole.parameters) << n;
    } catch (const DataError&) {
      ASSERT_EQ(content(), before) << n;
    }
  }
  EXPECT_GT(resumed, 0);
}

TEST_F(RunSessionTest, MissingJournalOfARunWithCheckpointsIsRefused) {
  run_for(1);
  fs::remove(path_ / "journal/journal.bin");
  EXPECT_TRUE(contains(resume_error(), "journal.bin"));
  EXPECT_FALSE(fs::exists(path_ / "journal/journal.bin"));
}

TEST_F(RunSessionTest, RunKilledBeforeItsFirstRecordStartsAfresh) {
  run_for(0);
  put(path_ / "journal/journal.bin", "");
  EXPECT_EQ(resume_error(), "");
  fs::remove(path_ / "journal/journal.bin");
  EXPECT_EQ(resume_error(), "");
  EXPECT_EQ(read_journal(path_ / "journal/journal.bin").records.size(), 1U);
}

// After the checkpoint of commit 0 and before its record.
TEST_F(RunSessionTest, CheckpointWithoutItsRecordIsMadeAgain) {
  run_for(1);
  const JournalContents contents = read_journal(path_ / "journal/journal.bin");
  const std::string journal = content_of(path_ / "journal/journal.bin");
  put(path_ / "journal/journal.bin",
      journal.substr(0, contents.records[0].size() + kJournalHeaderBytes));
  FakeDriver driver(pruned_config(3), {});
  RunSession session(request(true), driver.machine());
  EXPECT_EQ(session.resumed_rounds(), 0);
  advance(session, driver, 1);
  EXPECT_EQ(session.metrics().size(), 1U);
}

TEST_F(RunSessionTest, ExistingRunIsNotStartedAgain) {
  run_for(1);
  FakeDriver driver(pruned_config(3), {});
  EXPECT_TRUE(contains(
      thrown_text<ConfigError>([&] { RunSession(request(false), driver.machine()); }), "--resume"));
}

TEST(LastAccuracyTest, EachTrackHasItsOwn) {
  const auto line = [](const char* phase, Json test) {
    return Json(Json::Object{
        {"phase", phase}, {"test_accuracy", std::move(test)}, {"validation_accuracy", 0.5}});
  };
  const std::vector<Json> metrics{line("control", 0.8), line("control", 0.9), line("warmup", 0.3),
                                  line("recover", 0.7)};
  EXPECT_EQ(last_accuracy(metrics, true).test, 0.9);
  EXPECT_EQ(last_accuracy(metrics, false).test, 0.7);
  EXPECT_EQ(last_accuracy({line("train", Json())}, false).test, std::nullopt);
  EXPECT_EQ(last_accuracy({}, true).validation, std::nullopt);
}

}  // namespace
}  // namespace coppice
