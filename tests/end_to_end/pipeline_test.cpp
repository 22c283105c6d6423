// The pipeline as a whole: what a compressed run leaves, and what the target does to its end.

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

class PipelineTest : public RunTest {
 protected:
  Json json_of(const std::string& file) const { return Json::parse(content_of(path(file)), file); }
  Outcome coppice(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), std::string(COPPICE_BINARY_DIR) + "/coppice");
    return run_command({.arguments = std::move(arguments), .environment = {}, .folder = folder()});
  }
};

TEST_F(PipelineTest, LeavesEveryArtefactAndAReportOfThem) {
  const Json summary = summary_of({.more = {"compressed.yaml"}});
  for (const char* file : {"model.safetensors", "model.cpk", "model.onnx", "dense.safetensors",
                           "dense.onnx", "report.json"}) {
    EXPECT_TRUE(fs::exists(path("run") / "model" / file)) << file;
  }
  const Json report = json_of("run/model/report.json");
  EXPECT_EQ(report.at("file_bytes").as_integer(),
            static_cast<std::int64_t>(fs::file_size(path("run/model/model.cpk"))));
  EXPECT_EQ(report.at("file_bytes"), summary.at("model_bytes"));
  EXPECT_EQ(report.at("hashes").at("model_sha256"), summary.at("model_sha256"));
  EXPECT_EQ(report.at("labels").as_integer(), 40);
  EXPECT_GE(report.at("runs").as_integer(), 1000);
  EXPECT_GT(report.at("latency_us").at("p50").as_number(), 0.0);
  EXPECT_GE(report.at("latency_us").at("p99").as_number(),
            report.at("latency_us").at("p50").as_number());
  // The spin is as long as the median run: by a wide margin, whatever else the machine does.
  EXPECT_GT(report.at("spin_us").at("p50").as_number(),
            0.2 * report.at("latency_us").at("p50").as_number());
  EXPECT_LT(report.at("spin_us").at("p50").as_number(),
            5.0 * report.at("latency_us").at("p50").as_number());
  EXPECT_GE(report.at("spin_us").at("p999").as_number(),
            report.at("spin_us").at("p50").as_number());
  EXPECT_GT(report.at("peak_memory_bytes").as_integer(), 0);
  EXPECT_NEAR(report.at("accuracy").as_number(), summary.at("final_accuracy").as_number(), 0.026);
  EXPECT_GE(report.at("agreement").as_number(), 0.9);
}

TEST_F(PipelineTest, ALatencyTableDecidesHowWeightsAreStored) {
  const Outcome bench =
      coppice({"bench", "lut", "compressed.yaml", "--out", "table.json", "--check", "1"});
  ASSERT_EQ(bench.exit_code, 0) << bench.out << bench.err;
  EXPECT_NE(bench.out.find("largest error"), std::string::npos) << bench.out;
  summary_of({.more = {"compressed.yaml", "compress.latency_table=table.json",
                       "compress.quantize.bits=4"}});
  const Json report = json_of("run/model/report.json");
  EXPECT_GT(report.at("predicted_us").as_number(), 0.0);
  EXPECT_FALSE(report.at("layouts").as_array().empty());
  for (const Json& layer : report.at("layouts").as_array()) {
    const bool is_sparse = layer.at("blocks_us").as_number() < layer.at("dense_us").as_number();
    EXPECT_EQ(layer.at("layout").as_text(), is_sparse ? "blocks" : "panels");
    EXPECT_NE(layer.at("reason").as_text().find("the table has"), std::string::npos);
  }
  const Outcome exported = coppice({"export", "run", "--table", "table.json", "--out", "again"});
  EXPECT_EQ(exported.exit_code, 0) << exported.out << exported.err;
  EXPECT_EQ(content_of(path("again/model.cpk")), content_of(path("run/model/model.cpk")));
  expect_refused({.out = "other", .more = {"lenet5.yaml", "compress.latency_table=table.json"}},
                 "latency table: node '");
  write("broken.json", "{}");
  expect_refused({.out = "other", .more = {"compress.latency_table=broken.json"}}, "broken.json");
}

TEST_F(PipelineTest, RunsThroughWithAnyNumberOfRounds) {
  for (const std::string rounds : {"1", "2", "3"}) {
    for (const std::string bits : {"8", "4", "2"}) {
      const std::string out = "rounds" + rounds + "bits" + bits;
      const Json summary = summary_of({.out = out,
                                       .more = {"compressed.yaml", "train.rounds=" + rounds,
                                                "compress.quantize.bits=" + bits}});
      EXPECT_TRUE(fs::exists(path(out) / "model" / "model.cpk")) << out;
      EXPECT_TRUE(fs::exists(path(out) / "model" / "model.onnx")) << out;
      EXPECT_LT(summary.at("parameters").as_integer(), summary.at("dense_parameters").as_integer());
    }
  }
}

TEST_F(PipelineTest, MetricsNameThePhasesAndTheBits) {
  summary_of({.more = {"compressed.yaml", "train.rounds=6", "compress.prune.start=0.3",
                       "compress.prune.end=0.5", "compress.prune.steps=2"}});
  std::string phases;
  std::vector<double> bits;
  std::istringstream lines(content_of(path("run") / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, "metrics");
    phases += json.at("phase").as_text() + ' ';
    bits.push_back(json.at("mean_bits").as_number());
  }
  EXPECT_EQ(phases,
            "control control control control control control "
            "warmup shrink shrink recover quantize quantize ");
  EXPECT_EQ(bits.front(), 32.0);
  EXPECT_EQ(bits[8], 32.0);  // ranges are counted at the end of the round after it
  EXPECT_LT(bits[9], 12.0);
  EXPECT_LT(bits.back(), 12.0);
}

TEST_F(PipelineTest, ImpossibleTargetsEndInOrderWithTheBestReached) {
  const std::vector<std::pair<std::string, std::string>> impossible = {{"max_bytes", "100"},
                                                                       {"max_latency", "1ns"},
                                                                       {"max_latency_p99", "1ns"},
                                                                       {"max_peak_memory", "16"},
                                                                       {"min_retention", "10"}};
  for (const auto& [name, limit] : impossible) {
    const Outcome outcome =
        run({.out = name,
             .more = {"compressed.yaml", "compress.constraints." + name + "=" + limit,
                      "data.validation_fraction=0.2"}});
    EXPECT_EQ(outcome.exit_code, 3) << outcome.out << outcome.err;
    EXPECT_NE(outcome.out.find("the target is not met: " + name + " binds; the best reached is "),
              std::string::npos)
        << outcome.out;
    const Json summary = json_of(name + "/summary.json");
    EXPECT_FALSE(summary.at("constraints").at(name).at("met").as_bool());
    EXPECT_TRUE(fs::exists(path(name) / "model" / "report.json"));
    EXPECT_TRUE(fs::exists(path(name) / "model" / "model.onnx"));
  }
}

TEST_F(PipelineTest, TargetThatIsMetEndsWithZero) {
  const Json summary =
      summary_of({.more = {"compressed.yaml", "data.validation_fraction=0.2",
                           "compress.constraints={max_bytes: 1MiB, max_latency: 1s, "
                           "max_latency_p99: 10s, max_peak_memory: 1GiB, min_retention: 0.01}"}});
  EXPECT_EQ(summary.at("constraints").as_object().size(), 5U);
}

TEST_F(PipelineTest, ConstraintThatTheRuntimeCannotMeasureIsRefusedBeforeTheRun) {
  write("text.txt", std::string(4000, 'a') + std::string(4000, 'b'));
  expect_refused({.more = {"model={name: char_transformer, hidden: [128, 128]}", "data.name=text",
                           "data.root=text.txt", "data.context=8", "compress.prune.pruner=none",
                           "compress.constraints.max_latency=1s"}},
                 "does not run");
}

TEST_F(PipelineTest, ValidateMeasuresEveryFormAndJudges) {
  summary_of({.more = {"compressed.yaml"}});
  for (const char* subject : {"run", "run/model/model.cpk", "run/model/model.safetensors"}) {
    const Outcome outcome =
        coppice({"validate", subject, "--data", "idx", "--root", "images", "--constraints",
                 "max_bytes=1MB,max_latency=1s,min_retention=0.01", "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << subject << outcome.out << outcome.err;
    const std::size_t line = outcome.out.rfind('\n', outcome.out.size() - 2) + 1;
    const Json report = Json::parse(outcome.out.substr(line), subject);
    EXPECT_EQ(report.at("hashes"), json_of("run/model/report.json").at("hashes")) << subject;
    EXPECT_EQ(report.at("accuracy"), json_of("run/model/report.json").at("accuracy")) << subject;
    EXPECT_EQ(report.at("agreement"), json_of("run/model/report.json").at("agreement")) << subject;
  }
  EXPECT_EQ(coppice({"validate", "run", "--data", "idx", "--root", "images", "--constraints",
                     "max_bytes=10"})
                .exit_code,
            3);
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{
           {"validate", "run", "--data", "idx", "--root", "images", "--constraints", "max_byte=1"},
           {"validate", "run", "--data", "idy", "--root", "images"},
           {"validate", "nowhere.cpk", "--data", "idx", "--root", "images"},
           {"validate", "images", "--data", "idx", "--root", "images"},
           {"validate", "run", "--data", "idx", "--root", "images", "--runs", "0"}}) {
    const Outcome outcome = coppice(bad);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out << outcome.err;
    expect_one_paragraph(outcome.err, "coppice: ");
  }
}

TEST_F(PipelineTest, InferOfTheCpkGivesTheAccuracyOfTheReport) {
  summary_of({.more = {"compressed.yaml"}});
  const Outcome outcome = coppice(
      {"infer", "run/model/model.cpk", "--data", "idx", "--root", "images", "--out", "logits.npy"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const double accuracy = json_of("run/model/report.json").at("accuracy").as_number();
  char expected[64];
  std::snprintf(expected, sizeof expected, "accuracy  %.4f (", accuracy);
  EXPECT_NE(outcome.out.find(expected), std::string::npos) << outcome.out;
  EXPECT_EQ(fs::file_size(path("logits.npy")) % 64, 40 * 4 * 4 % 64);
}

TEST_F(PipelineTest, ThreadsChangeNoAnswerOfACpk) {
  summary_of({.more = {"compressed.yaml"}});
  const std::vector<std::string> data = {"--data", "idx", "--root", "images"};
  const auto with = [&](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), data.begin(), data.end());
    words.insert(words.end(), more.begin(), more.end());
    return coppice(words);
  };
  const std::vector<std::string> infer = {"infer", "run/model/model.cpk"};
  const Outcome one = with(infer, {"--out", "one.npy"});
  const Outcome two = with(infer, {"--out", "two.npy", "--threads", "2"});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_EQ(content_of(path("two.npy")), content_of(path("one.npy")));
  const Outcome refused = with({"infer", "run/model/model.safetensors"}, {"--threads", "2"});
  EXPECT_EQ(refused.exit_code, 2);
  expect_one_paragraph(refused.err, "coppice: ");

  const Outcome validated = with({"validate", "run"}, {"--threads", "2", "--runs", "20", "--json"});
  ASSERT_EQ(validated.exit_code, 0) << validated.err;
  EXPECT_NE(validated.out.find("2 threads"), std::string::npos) << validated.out;
  const std::size_t line = validated.out.rfind('\n', validated.out.size() - 2) + 1;
  const Json report = Json::parse(validated.out.substr(line), "report");
  EXPECT_EQ(report.at("threads").as_integer(), 2);
  EXPECT_EQ(report.at("accuracy"), json_of("run/model/report.json").at("accuracy"));
}

TEST_F(PipelineTest, InspectShowsBitsBytesAndTimeOfEveryForm) {
  const Json summary = summary_of({.more = {"compressed.yaml"}});
  const auto json_of_inspect = [&](const std::string& subject) {
    const Outcome outcome = coppice({"inspect", subject, "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << subject << outcome.err;
    return Json::parse(outcome.out, subject);
  };
  std::vector<std::int64_t> bytes;
  Json json;
  for (const char* subject : {"run", "run/model/model.safetensors", "run/model/model.cpk"}) {
    json = json_of_inspect(subject);
    double time = 0.0;
    for (const Json& layer : json.at("layers").as_array()) {
      if (layer.at("op").as_text() == "linear") {
        EXPECT_EQ(layer.at("bits").as_integer(), 8);
      }
      time += layer.at("time_share").as_number();
    }
    EXPECT_NEAR(time, 1.0, 1e-6) << subject;
    bytes.push_back(json.at("total").at("stored_bytes").as_integer());
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_EQ(bytes[0], bytes[2]);
  EXPECT_LT(bytes[0], json.at("body_bytes").as_integer());
  EXPECT_EQ(json.at("file_bytes"), summary.at("model_bytes"));
  EXPECT_LE(json.at("file_bytes").as_integer(), json.at("body_bytes").as_integer() + 47);
  const Json onnx = json_of_inspect("run/model/model.onnx");
  EXPECT_TRUE(onnx.at("is_ours").as_bool());
  EXPECT_EQ(onnx.at("metadata").at("coppice.model_sha256"), summary.at("model_sha256"));

  for (const char* name : {"model.cpk", "model.onnx"}) {
    std::string damaged = content_of(path("run") / "model" / name);
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    write(name, damaged);
    const Outcome outcome = coppice({"inspect", name});
    EXPECT_EQ(outcome.exit_code, 2) << name;
    expect_one_paragraph(outcome.err, name);
  }
}

TEST_F(PipelineTest, OptimizeDoesTheSameWithOneClient) {
  const std::vector<std::string> common = {
      "--data", "idx", "--root", "images", "train.rounds=3", "train.batch_size=8"};
  std::vector<std::string> from_zoo = {
      "optimize", "mlp", "--out", "zoo", "model.hidden=[12, 8]", "--constraints", "max_bytes=1MiB"};
  from_zoo.insert(from_zoo.end(), common.begin(), common.end());
  Outcome outcome = coppice(from_zoo);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("1 clients"), std::string::npos) << outcome.out;
  EXPECT_TRUE(fs::exists(path("zoo/model/model.cpk")));

  std::vector<std::string> from_file = {"optimize", "zoo/model/dense.safetensors", "--out", "file",
                                        "compress.prune.target=0.3"};
  from_file.insert(from_file.end(), common.begin(), common.end());
  outcome = coppice(from_file);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_LT(json_of("file/summary.json").at("parameters").as_integer(),
            json_of("zoo/summary.json").at("parameters").as_integer());

  outcome = coppice({"optimize", "zoo/model/model.safetensors", "--out", "again", "--data", "idx",
                     "--root", "images"});
  EXPECT_EQ(outcome.exit_code, 2);
  expect_one_paragraph(outcome.err, "is quantized already");
}

}  // namespace
}  // namespace coppice::testing
