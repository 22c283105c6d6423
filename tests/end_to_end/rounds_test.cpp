// Runs at the edges of what a config may say: few rounds, rare evaluation, constraints, deep
// networks, every reader.

#include <sstream>

#include "tests/end_to_end/run_fixture.h"
#include "tests/end_to_end/tiny_data.h"

namespace coppice::testing {
namespace {

std::vector<Json> metrics_of(const std::filesystem::path& run) {
  std::vector<Json> out;
  for (const std::string& line : result_of(run).metrics)
    out.push_back(Json::parse(line, "metrics.jsonl"));
  return out;
}

void expect_everything_written(const std::filesystem::path& run) {
  for (const char* name : {"config.resolved.yaml", "metrics.jsonl", "summary.json",
                           "journal/journal.bin", "model/model.safetensors"}) {
    EXPECT_TRUE(std::filesystem::is_regular_file(run / name)) << name;
  }
}

class RoundsTest : public RunTest, public ::testing::WithParamInterface<int> {};

TEST_P(RoundsTest, AreEnoughToShrinkTheModelToItsTarget) {
  const Json summary = summary_of({.more = {"train.rounds=" + std::to_string(GetParam())}});
  EXPECT_EQ(summary.at("rounds").as_integer(), GetParam());
  EXPECT_LE(2 * summary.at("parameters").as_integer(), summary.at("dense_parameters").as_integer());
  EXPECT_GT(summary.at("parameters").as_integer(), 0);
  EXPECT_TRUE(summary.at("retention").is_number());
  const std::vector<Json> metrics = metrics_of(path("run"));
  ASSERT_EQ(metrics.size(), static_cast<std::size_t>(2 * GetParam()));
  EXPECT_EQ(metrics.back().at("parameters"), summary.at("parameters"));
  expect_everything_written(path("run"));
}

INSTANTIATE_TEST_SUITE_P(Few, RoundsTest, ::testing::Values(1, 2, 3));

using ExperimentTest = RunTest;

TEST_F(ExperimentTest, IsEvaluatedAtTheEndEvenIfRoundsDoNotSuffice) {
  const Json summary = summary_of({.more = {"eval.every=10"}});
  EXPECT_TRUE(summary.at("final_accuracy").is_number());
  EXPECT_TRUE(summary.at("dense_accuracy").is_number());
  const std::vector<Json> metrics = metrics_of(path("run"));
  ASSERT_EQ(metrics.size(), 6U);
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    EXPECT_EQ(metrics[i].at("test_accuracy").is_null(), i % 3 != 2) << "line " << i + 1;
  }
}

// A calibration counts too, in the seconds and in the ranks' work.
TEST_F(ExperimentTest, SaysHowBusyEachRankWas) {
  summary_of({.more = {"compress.quantize.bits=8"}, .threads = 2});
  std::istringstream lines(content_of(path("run") / "metrics.jsonl"));
  for (std::string text; std::getline(lines, text);) {
    const Json line = Json::parse(text, "metrics.jsonl");
    ASSERT_EQ(line.at("utilisation").as_array().size(), 2U);
    for (const Json& share : line.at("utilisation").as_array()) {
      EXPECT_GT(share.as_number(), 0.0);
      EXPECT_LE(share.as_number(), 1.0);
    }
  }
}

// The control trains as the dense model is counted; the run's own rounds take less with levers, and
// less again as the network shrinks.
TEST_F(ExperimentTest, CountsWhatAClientsStepTakes) {
  const Json summary =
      summary_of({.more = {"train.executor=resident", "train.memory.relu_bits=true",
                           "train.memory.saved_bits=8"}});
  const std::vector<Json> metrics = metrics_of(path("run"));
  const std::int64_t dense = summary.at("dense_train_memory_bytes").as_integer();
  EXPECT_EQ(metrics.front().at("phase").as_text(), "control");
  EXPECT_EQ(metrics.front().at("train_memory_bytes").as_integer(), dense);
  EXPECT_LT(summary.at("train_memory_bytes").as_integer(), dense);
  EXPECT_EQ(summary.at("last_train_memory_bytes"), metrics.back().at("train_memory_bytes"));
  EXPECT_LT(summary.at("last_train_memory_bytes").as_integer(),
            summary.at("train_memory_bytes").as_integer());
}

// Every round's updates, those of the warm-up too, are in the sum and within the budget; beside an
// update a client sends its row and, when channels are chosen, its ballot.
TEST_F(ExperimentTest, CountsTheBytesOfTheWarmUpAndStaysWithinTheBudget) {
  constexpr std::int64_t kBudget = 3000;
  constexpr std::int64_t kBesideIt = 200;
  const Json summary =
      summary_of({.more = {"train.rounds=4", "compress.control=false", "compress.prune.start=0.4",
                           "comm={codec: rotated, budget: 3000}"}});
  const std::vector<Json> metrics = metrics_of(path("run"));
  EXPECT_EQ(metrics.front().at("phase").as_text(), "warmup");
  std::int64_t sum = 0;
  for (const Json& line : metrics) {
    const std::int64_t bytes = line.at("bytes_up").as_integer();
    EXPECT_GT(bytes, line.at("clients").as_integer() * 1000);
    EXPECT_LE(bytes, line.at("clients").as_integer() * (kBudget + kBesideIt));
    sum += bytes;
  }
  EXPECT_EQ(summary.at("bytes_up").as_integer(), sum);
}

// The changes of a model take less than the model, after the first time.
TEST_F(ExperimentTest, SendsChangesOfTheModelInPlaceOfIt) {
  summary_of({.more = {"train.rounds=4", "compress.control=false", "compress.prune.pruner=none",
                       "comm.downlink={codec: rotated, bits: 4}"}});
  const std::vector<Json> metrics = metrics_of(path("run"));
  const std::int64_t whole = metrics.front().at("bytes_down").as_integer();
  for (std::size_t i = 1; i < metrics.size(); ++i)
    EXPECT_LT(5 * metrics[i].at("bytes_down").as_integer(), whole);
}

TEST_F(ExperimentTest, LearnsWhatTheDataTeach) {
  const Json summary = summary_of({.more = {"train.rounds=8", "train.local_epochs=3"}});
  EXPECT_GE(summary.at("dense_accuracy").as_number(), 0.9);
  EXPECT_GE(summary.at("final_accuracy").as_number(), 0.5);
}

TEST_F(ExperimentTest, EndsWithExitCode3AndAllFilesIfItsRetentionIsNotReached) {
  const Outcome outcome =
      run({.more = {"train.rounds=8", "data.validation_fraction=0.25",
                    "compress.prune.target=0.001", "compress.constraints.min_retention=0.999"}});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("NOT MET"), std::string::npos) << outcome.out;
  expect_everything_written(path("run"));
  const Json summary = Json::parse(content_of(path("run") / "summary.json"), "summary.json");
  const Json& constraint = summary.at("constraints").at("min_retention");
  EXPECT_FALSE(constraint.at("met").as_bool());
  EXPECT_LT(constraint.at("measured").as_number(), 0.999);
}

TEST_F(ExperimentTest, EndsWithExitCode3OnAllRanksAsWell) {
  const Outcome outcome = run({.more = {"compress.constraints.max_bytes=1KiB"}, .threads = 2});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.out << outcome.err;
  expect_everything_written(path("run"));
}

TEST_F(ExperimentTest, EndsWithExitCode0IfItsModelIsSmallEnough) {
  const Json summary = summary_of({.more = {"compress.constraints.max_bytes=64KiB"}});
  const Json& constraint = summary.at("constraints").at("max_bytes");
  EXPECT_TRUE(constraint.at("met").as_bool());
  EXPECT_EQ(constraint.at("limit").as_integer(), 65536);
  EXPECT_EQ(constraint.at("measured"), summary.at("model_bytes"));
  EXPECT_EQ(
      static_cast<std::int64_t>(std::filesystem::file_size(path("run") / "model" / "model.cpk")),
      summary.at("model_bytes").as_integer());
}

TEST_F(ExperimentTest, WithAConstraintThatCannotBeMeasuredIsRefused) {
  expect_refused({.more = {"compress.constraints.min_retention=0.9", "compress.control=false"}},
                 "min_retention");
  expect_refused({.more = {"compress.constraints.min_retention=0.9", "data.validation_fraction=0"}},
                 "min_retention");
}

// mpirun gives its ranks a terminal of their own, whoever reads its output.
using MpiExperimentTest = RunTest;

TEST_F(MpiExperimentTest, WritesPlainLinesIntoAPipe) {
  const Outcome outcome = run({.processes = 2});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("\nround   3/3"), std::string::npos) << outcome.out;
}

TEST_F(ExperimentTest, ThatIsToBeComparedWithNoRunIsRefusedBeforeItBegins) {
  expect_refused({.more = {"compress.control=false", "compress.dense_reference=nowhere"}},
                 "nowhere");
}

TEST_F(ExperimentTest, IsComparedWithAnEarlierRun) {
  const Json dense = summary_of(
      {.out = "dense", .more = {"compress.control=false", "compress.prune.pruner=none"}});
  const Json pruned = summary_of(
      {.out = "pruned", .more = {"compress.control=false", "compress.dense_reference=dense"}});
  EXPECT_EQ(pruned.at("dense_accuracy"), dense.at("final_accuracy"));
  // As with a control of its own, which has the same seed and rounds.
  const Json controlled = summary_of({.out = "controlled"});
  const Json later = summary_of(
      {.out = "later", .more = {"compress.control=false", "compress.dense_reference=controlled"}});
  for (const char* field : {"dense_accuracy", "retention", "validation_retention"})
    EXPECT_EQ(later.at(field), controlled.at(field)) << field;
  // That one's accuracy is not a dense model's.
  expect_refused({.more = {"compress.control=false", "compress.dense_reference=pruned"}},
                 "compressed one");
}

// Residual blocks lose the same channels, in whole groups of eight.
TEST_F(ExperimentTest, ShrinksAResidualNetworkByGroupsOfEight) {
  const Json summary =
      summary_of({.more = {"resnet20.yaml", "train.rounds=2", "compress.control=false",
                           "train.local_steps=1", "train.batch_size=4", "eval.batch_size=20"}});
  EXPECT_LE(2 * summary.at("parameters").as_integer(), summary.at("dense_parameters").as_integer());
  const std::string bytes = content_of(path("run") / "model" / "model.safetensors");
  const std::size_t header_bytes = static_cast<std::uint8_t>(bytes[0]) +
                                   256U * static_cast<std::uint8_t>(bytes[1]) +
                                   65536U * static_cast<std::uint8_t>(bytes[2]);
  const Json header = Json::parse(std::string_view(bytes).substr(8, header_bytes), "header");
  int convolutions = 0;
  for (const auto& [name, tensor] : header.as_object()) {
    if (name == "__metadata__") continue;
    const std::vector<std::int64_t> shape = tensor.at("shape").as_integers();
    if (shape.size() != 4) continue;
    ++convolutions;
    EXPECT_EQ(shape[0] % 8, 0) << name;
    EXPECT_TRUE(shape[1] % 8 == 0 || shape[1] == 1) << name;
  }
  EXPECT_GE(convolutions, 19);
}

TEST_F(ExperimentTest, ReadsCsv) {
  write_tiny_csv(path("tiny.csv"));
  const Json summary = summary_of(
      {.more = {"data.name=csv", "data.root=tiny.csv", "train.rounds=8", "train.local_epochs=5"}});
  EXPECT_GE(summary.at("dense_accuracy").as_number(), 0.6);
}

TEST_F(ExperimentTest, ReadsNpzByClient) {
  write_tiny_npz(path("tiny.npz"), 6);
  const Json summary =
      summary_of({.more = {"data.name=npz", "data.root=tiny.npz", "data.partition.scheme=by_key",
                           "data.partition.clients=0", "train.rounds=8", "train.local_epochs=5"}});
  EXPECT_GE(summary.at("dense_accuracy").as_number(), 0.6);
  EXPECT_EQ(metrics_of(path("run")).front().at("clients").as_integer(), 6);
}

TEST_F(ExperimentTest, ReadsTheDigitsOfScikitLearn) {
  const std::filesystem::path digits =
      std::filesystem::path(COPPICE_SOURCE_DIR) / ".deps/data/digits.csv.gz";
  if (!std::filesystem::exists(digits)) GTEST_SKIP() << digits << " is not there";
  const Json summary = summary_of({.more = {"data.name=digits", "data.root=" + digits.string(),
                                            "train.local_epochs=3", "model.hidden=[32]"}});
  EXPECT_GE(summary.at("dense_accuracy").as_number(), 0.8);
}

TEST_F(ExperimentTest, WithClientsThatWouldOwnNothingIsRefused) {
  expect_refused({.more = {"data.partition.scheme=dirichlet", "data.partition.alpha=0.01",
                           "data.partition.min_samples=0", "data.partition.clients=30"}},
                 "min_samples");
}

}  // namespace
}  // namespace coppice::testing
