// Devices with data that only they have: the run is the one whose ranks read all of it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "comm/data_facts.h"
#include "core/config/config.h"
#include "core/error.h"
#include "launch/federation.h"
#include "tests/data/data_files.h"
#include "tests/end_to_end/tiny_data.h"
#include "tests/launch/damaged_frames.h"
#include "tests/launch/scripted_transport.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kClients = 5;
constexpr const char* kConfig = R"(name: tiny
seed: 3
data: {name: idx, partition: {scheme: iid, clients: 5}, validation_fraction: 0.3}
model: {name: mlp, hidden: [12, 8]}
train: {rounds: 4, batch_size: 8, optimizer: {lr: 0.05, momentum: 0.9}}
)";
// Tables that are balanced by the classes' totals, and comparisons on held-out samples.
constexpr const char* kCompress = R"(compress:
  constraints: {max_bytes: 2000}
  allocate: {allocator: joint, start: 0.3, end: 0.6, steps: 1, batches: 2, half_batch: 4, class_balance: true}
  quantize: {start: 0.7, calibration_samples: 12}
  distill: {teacher: warmup}
)";

// Rows of the training split as a data set of their own, without a test split.
void write_rows(const fs::path& folder, const Dataset& from,
                const std::vector<std::int64_t>& rows) {
  fs::create_directories(folder);
  Bytes pixels;
  Bytes labels;
  for (const std::int64_t row : rows) {
    const auto first = from.train.uint8s.begin() + row * from.sample_size();
    pixels.append(first, first + from.sample_size());
    labels += static_cast<char>(from.train.labels[static_cast<std::size_t>(row)]);
  }
  const auto count = static_cast<std::uint32_t>(rows.size());
  std::ofstream(folder / "train-images-idx3-ubyte", std::ios::binary)
      << idx(0x08, {count, 28, 28}, pixels);
  std::ofstream(folder / "train-labels-idx1-ubyte", std::ios::binary) << idx(0x08, {count}, labels);
}

class OwnDataTest : public ::testing::Test {
 protected:
  // The data set, and its parts in folders of their own.
  OwnDataTest() {
    testing::write_tiny_idx(root());
    const ExperimentConfig config = config_of(kConfig, "iid");
    const auto dataset = load_dataset(dataset_request(config.data));
    const Partition partition = make_partition(*dataset, partition_request(config));
    for (std::int64_t k = 0; k < kClients; ++k) {
      const ClientData& client = partition.clients[static_cast<std::size_t>(k)];
      std::vector<std::int64_t> rows = client.train;
      rows.insert(rows.end(), client.validation.begin(), client.validation.end());
      std::ranges::sort(rows);
      write_rows(site(k), *dataset, rows);
    }
  }

  fs::path root() const { return folder_.path() / "all"; }
  fs::path site(std::int64_t client) const {
    return folder_.path() / ("site" + std::to_string(client));
  }
  ExperimentConfig config_of(const std::string& yaml, const std::string& scheme) const {
    return parse_config(
        yaml, "test.yaml",
        std::vector{"data.root=" + root().string(), "data.partition.scheme=" + scheme});
  }
  ScriptedTransport devices(std::uint64_t seed = 1) {
    return {[this](std::int64_t client) { return DeviceData{site(client).string()}; }, seed};
  }
  RunOutcome run(const ExperimentConfig& config, const std::string& out, Transport* transport,
                 bool is_resumed = false) {
    RunOptions options{.out = folder_.path() / out, .is_resumed = is_resumed};
    if (transport != nullptr)
      options.network = [=](const NetworkRequest&) { return std::make_unique<Lent>(*transport); };
    RunOutcome outcome;
    run_local(1, [&](Communicator& communicator) {
      outcome = run_federation(communicator, config, options, nullptr);
    });
    return outcome;
  }
  // What a run says that fails.
  std::string failure(const ExperimentConfig& config, const std::string& out, Transport* transport,
                      bool is_resumed = false) {
    try {
      run(config, out, transport, is_resumed);
    } catch (const std::exception& error) {
      return describe(error);
    }
    return "";
  }
  static std::string model_of(const RunOutcome& outcome) {
    return outcome.summary.at("model_sha256").as_text();
  }

  DataFolder folder_;
};

TEST_F(OwnDataTest, DevicesGiveTheModelOfRanksThatReadAllOfIt) {
  for (const std::string& yaml : {std::string(kConfig), std::string(kConfig) + kCompress}) {
    const std::string name = std::to_string(yaml.size());
    const RunOutcome ranks = run(config_of(yaml, "iid"), "ranks" + name, nullptr);
    ScriptedTransport transport = devices();
    const RunOutcome own = run(config_of(yaml, "devices"), "own" + name, &transport);
    EXPECT_EQ(model_of(own), model_of(ranks));
    EXPECT_TRUE(transport.is_finished);
    EXPECT_EQ(transport.declined, 0);
  }
}

TEST_F(OwnDataTest, ADeviceThatIsStartedAnewIsAskedAgain) {
  ScriptedTransport steady = devices();
  ScriptedTransport restarted = devices(2);
  restarted.restarts = true;
  const ExperimentConfig config = config_of(kConfig, "devices");
  EXPECT_EQ(model_of(run(config, "steady", &steady)), model_of(run(config, "anew", &restarted)));
  EXPECT_GT(restarted.declined, 0);
}

TEST_F(OwnDataTest, ARunThatIsResumedExpectsTheDataItHad) {
  const ExperimentConfig config = config_of(kConfig, "devices");
  ScriptedTransport transport = devices();
  const std::string model = model_of(run(config, "out", &transport));
  ScriptedTransport again = devices(2);
  EXPECT_EQ(model_of(run(config, "out", &again, true)), model);
  const auto dataset = load_dataset(dataset_request(config.data));
  write_rows(site(3), *dataset, {1, 2, 3, 4, 5, 6, 7, 8});
  ScriptedTransport changed = devices(3);
  EXPECT_NE(failure(config, "out", &changed, true).find("data"), std::string::npos);
}

TEST_F(OwnDataTest, DataThatDoesNotFitIsNamedAtTheDevice) {
  const ExperimentConfig config = config_of(kConfig, "devices");
  testing::write_tiny_csv(folder_.path() / "own.csv");
  ScriptedTransport transport(
      [this](std::int64_t client) {
        return client == 2 ? DeviceData{(folder_.path() / "own.csv").string(), "csv"}
                           : DeviceData{site(client).string()};
      },
      1);
  EXPECT_NE(failure(config, "out", &transport)
                .find("client-2 declined: this device's data: expected samples of 1 x 28 x 28 "
                      "numbers, 1 label, as the run has, got 8 numbers, 1 label"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(folder_.path() / "out"));  // nothing has begun
}

TEST_F(OwnDataTest, FactsThatCannotBeAreRefused) {
  const ExperimentConfig config = config_of(kConfig, "devices");
  const auto with = [&](auto&& change) {
    ScriptedTransport transport = devices();
    transport.change = [&](ScriptedTransport&, NodeEvent& event) {
      if (event.node == "client-1") event.answer = change(event.answer);
    };
    return failure(config, "out", &transport);
  };
  EXPECT_NE(with([](std::vector<std::uint8_t> answer) {
              answer.resize(9);
              return answer;
            }).find("client-1 was refused"),
            std::string::npos);
  EXPECT_NE(with([](const std::vector<std::uint8_t>& answer) {
              DataFacts facts = decode_data_facts(answer);
              facts.class_counts.clear();
              return encode_data_facts(facts);
            }).find("client-1 was refused: data facts: expected counts of 4 classes, got 0"),
            std::string::npos);
  EXPECT_NE(with([](const std::vector<std::uint8_t>& answer) {
              DataFacts facts = decode_data_facts(answer);
              facts.class_counts.push_back(0);
              return encode_data_facts(facts);
            }).find("client-1 was refused: data facts: expected counts of 4 classes, got 5"),
            std::string::npos);
}

TEST_F(OwnDataTest, RanksAloneAreRefused) {
  EXPECT_NE(failure(config_of(kConfig, "devices"), "out", nullptr).find("coppice serve"),
            std::string::npos);
}

TEST_F(OwnDataTest, AFolderThatIsTakenIsKnownBeforeDevicesAreAsked) {
  const ExperimentConfig config = config_of(kConfig, "devices");
  fs::create_directories(folder_.path() / "out");
  std::ofstream(folder_.path() / "out" / "mine") << "x";
  ScriptedTransport transport = devices();
  EXPECT_NE(failure(config, "out", &transport).find("exists and is not empty"), std::string::npos);
  EXPECT_EQ(transport.accepted, 0);
}

TEST_F(OwnDataTest, LabelsMeanWhatTheyMeanToTheRun) {
  const ExperimentConfig config = config_of(kConfig, "devices");
  const auto dataset = load_dataset(dataset_request(config.data));
  EdgeSetup setup = with_format(
      {.config = resolved_yaml(config), .version = "0.1.0", .executor = "resident"}, *dataset);
  const DeviceData data{site(0).string()};
  EXPECT_EQ(open_edge_world(setup, data, 0).dataset->classes, 4);
  setup.classes = 7;  // of which the device has some
  EXPECT_EQ(open_edge_world(setup, data, 0).dataset->classes, 7);
  EXPECT_THROW(open_edge_world(setup, data, kClients), ConfigError);
  setup.classes = 3;
  EXPECT_THROW(open_edge_world(setup, data, 0), DataError);
}

TEST(DataFactsTest, AreReadAsTheyWereWritten) {
  const DataFacts facts{.train_samples = 10, .validation_labels = 3, .class_counts = {4, 0, 6}};
  const std::vector<std::uint8_t> bytes = encode_data_facts(facts);
  EXPECT_EQ(decode_data_facts(bytes), facts);
  EXPECT_EQ(decode_data_facts(encode_data_facts({.train_samples = 1})).class_counts.size(), 0U);
  expect_damage_is_refused(bytes, decode_data_facts);
}

TEST(DataFactsTest, WhatCannotBeIsRefused) {
  for (const DataFacts& facts : {DataFacts{.train_samples = 0}, DataFacts{.train_samples = -1},
                                 DataFacts{.train_samples = kMostSamples + 1},
                                 DataFacts{.train_samples = 1, .validation_labels = -1},
                                 DataFacts{.train_samples = 4, .class_counts = {2, 1}},
                                 DataFacts{.train_samples = 4, .class_counts = {5, -1}},
                                 DataFacts{.train_samples = 4,
                                 .class_counts = {std::numeric_limits<std::int64_t>::max(), 5}}})
    EXPECT_THROW(decode_data_facts(encode_data_facts(facts)), WireError);
}

}  // namespace
}  // namespace coppice
