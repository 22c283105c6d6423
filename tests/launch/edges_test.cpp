// A run whose clients are devices of their own is the run whose clients ranks simulate: the same
// model and the same figures, in whatever order devices answer, and though some are started anew.
#include "launch/edges.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>

#include "comm/client_answer.h"
#include "comm/communicator.h"
#include "core/config/config.h"
#include "core/error.h"
#include "launch/device/edge_world.h"
#include "launch/federation.h"
#include "tests/data/data_files.h"
#include "tests/end_to_end/tiny_data.h"
#include "tests/launch/damaged_frames.h"
#include "tests/launch/scripted_transport.h"

namespace coppice {
namespace {

constexpr const char* kConfig = R"(name: tiny
seed: 3
data: {name: idx, partition: {scheme: iid, clients: 5}, validation_fraction: 0.3}
model: {name: mlp, hidden: [12, 8]}
train: {rounds: 4, batch_size: 8, optimizer: {lr: 0.05, momentum: 0.9}}
)";

// Every kind of question: updates, tables, counts, comparisons; a teacher, and masks.
constexpr const char* kCompress = R"(compress:
  control: true
  constraints: {max_bytes: 2000, min_retention: 0.1}
  allocate: {allocator: joint, start: 0.3, end: 0.6, steps: 1, batches: 2, half_batch: 4}
  gate: {recovery_rounds: 1}
  quantize: {start: 0.7, calibration_samples: 12}
  distill: {teacher: control}
)";

constexpr const char* kMoves = R"(compress:
  constraints: {max_bytes: 2000}
  allocate: {allocator: feddst, start: 0, end: 1, steps: 8, batches: 2, half_batch: 4}
  quantize: {start: 0.99, calibration_samples: 12}
)";

constexpr const char* kChanges = "comm: {downlink: {codec: rotated, bits: 4}}\n";

constexpr const char* kBallots = R"(compress:
  prune: {pruner: taylor, target: 0.5, batches: 1, half_batch: 4}
  distill: {teacher: warmup}
)";

class EdgesRunTest : public ::testing::Test {
 protected:
  EdgesRunTest() { testing::write_tiny_idx(folder_.path() / "images"); }

  std::string root() const { return (folder_.path() / "images").string(); }

  RunOutcome run(const std::string& yaml, const std::string& out, Transport* transport,
                 std::vector<std::int64_t> devices = {}) {
    const ExperimentConfig config =
        parse_config(yaml, "test.yaml", std::vector{"data.root=" + root()});
    RunOptions options{.out = folder_.path() / out};
    if (transport != nullptr) {
      options.network = [=](const NetworkRequest&) { return std::make_unique<Lent>(*transport); };
      options.devices = std::move(devices);
    }
    RunOutcome outcome;
    run_local(1, [&](Communicator& communicator) {
      outcome = run_federation(communicator, config, options, nullptr);
    });
    return outcome;
  }
  // Of every round.
  std::vector<std::int64_t> figures(const std::string& out, const std::string& name) const {
    std::ifstream lines(folder_.path() / out / "metrics.jsonl");
    std::vector<std::int64_t> found;
    for (std::string line; std::getline(lines, line);)
      found.push_back(Json::parse(line, "metrics").at(name).as_integer());
    return found;
  }
  // Clients that reported nothing.
  std::vector<std::int64_t> missing(const std::string& out) const {
    return figures(out, "missing");
  }
  static std::string model_of(const RunOutcome& outcome) {
    return outcome.summary.at("model_sha256").as_text();
  }

  DataFolder folder_;
};

TEST_F(EdgesRunTest, DevicesGiveTheModelAndTheBytesOfRanks) {
  const std::vector<std::string> varieties = {
      kConfig,
      kConfig + std::string(kCompress),
      kConfig + std::string(kBallots),
      kConfig + std::string(kCompress) + "comm: {codec: rotated, budget: 3000}\n",
      kConfig + std::string(kCompress) + kChanges,
      kConfig + std::string(kBallots) + kChanges};
  for (std::size_t i = 0; i < varieties.size(); ++i) {
    const std::string name = std::to_string(i);
    const RunOutcome ranks = run(varieties[i], "ranks" + name, nullptr);
    for (const std::uint64_t seed : {1U, 2U}) {
      ScriptedTransport transport(root(), seed);
      transport.restarts = seed == 2;
      const RunOutcome devices =
          run(varieties[i], "devices" + name + std::to_string(seed), &transport);
      EXPECT_EQ(model_of(devices), model_of(ranks)) << i << ", seed " << seed;
      for (const char* field : {"bytes_up", "bytes_down"})
        EXPECT_EQ(devices.summary.at(field), ranks.summary.at(field)) << field << " " << i;
      EXPECT_GT(transport.accepted, 15);
      EXPECT_EQ(transport.declined > 0, transport.restarts);
      EXPECT_TRUE(transport.refusals.empty());
      EXPECT_TRUE(transport.is_finished);
    }
    ScriptedTransport some(root(), 3);  // ranks have the other clients
    EXPECT_EQ(model_of(run(varieties[i], "mixed" + name, &some, {1, 4})), model_of(ranks)) << i;
  }
}

// In the first round the model, which is 4 bytes a parameter, then what it has changed by, in half
// a byte; a device that missed some of the changes gets those.
TEST_F(EdgesRunTest, ChangesOfTheModelAreAllThatTravels) {
  const auto sent = [&](const std::string& yaml, const std::string& out,
                        std::set<std::int64_t> slow, std::set<std::int64_t> silent) {
    ScriptedTransport transport(root(), 5);
    transport.slow = std::move(slow);
    transport.silent = std::move(silent);
    EXPECT_EQ(run(yaml, out, &transport).exit_code, 0);
    EXPECT_TRUE(transport.refusals.empty());
    return transport.model_bytes;
  };
  const std::string changes = std::string(kConfig) + kChanges;
  const auto whole = static_cast<double>(sent(kConfig, "whole", {}, {}));
  const auto changed = static_cast<double>(sent(changes, "changed", {}, {}));
  EXPECT_LT(changed, 0.6 * whole);
  const std::string hurried = changes + "network: {quorum: 0.8, deadline: 1ns, late: 1}\n";
  const auto missed = static_cast<double>(sent(hurried, "late", {1}, {}));
  EXPECT_LT(missed, changed);
  sent(hurried, "silent", {}, {2});
}

// A device that sends nonsense is left out, and the round is what it is without it.
TEST_F(EdgesRunTest, NonsenseIsRefusedAndCountsAsMissing) {
  const auto without = [&](const std::string& out, auto&& change) {
    ScriptedTransport transport(root(), 5);
    transport.change = change;
    const RunOutcome outcome =
        run(std::string(kConfig) + "network: {quorum: 0.8, deadline: 3600s}\n", out, &transport);
    EXPECT_EQ(transport.refusals.size() + static_cast<std::size_t>(transport.declined), 4U);
    return model_of(outcome);
  };
  const std::string declines =
      without("declines", [](ScriptedTransport& transport, NodeEvent& event) {
        if (event.node != "client-2") return;
        event.kind = NodeEventKind::kDeclined;
        event.reason = "out of battery";
        ++transport.declined;
      });
  EXPECT_EQ(without("flips",
                    [](ScriptedTransport&, NodeEvent& event) {
                      if (event.node == "client-2") event.answer[40] ^= 1U;
                    }),
            declines);
  EXPECT_EQ(without("poses",
                    [](ScriptedTransport&, NodeEvent& event) {
                      if (event.node != "client-2") return;
                      ClientAnswer answer = decode_answer(event.answer);
                      answer.row.client = 1;
                      event.answer = encode_answer(answer);
                    }),
            declines);
}

TEST_F(EdgesRunTest, TooFewAnswersEndTheRunAndNameOne) {
  ScriptedTransport transport(root(), 5);
  transport.change = [](ScriptedTransport&, NodeEvent& event) {
    if (event.node != "client-2") return;
    event.kind = NodeEventKind::kDeclined;
    event.reason = "out of battery";
  };
  try {
    run(kConfig, "few", &transport);
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(describe(error).find("round 1: 4 of 5 devices answered, fewer than network.quorum "
                                   "(1); client-2 declined: out of battery"),
              std::string::npos)
        << describe(error);
  }
  EXPECT_FALSE(transport.is_finished);
}

// Those that have not answered when the deadline has passed are missing.
TEST_F(EdgesRunTest, RoundClosesWithAQuorumAfterTheDeadline) {
  ScriptedTransport transport(root(), 5);
  transport.silent = {1, 3};
  const RunOutcome outcome =
      run(std::string(kConfig) + "network: {quorum: 0.6, deadline: 1ns}\n", "quorum", &transport);
  EXPECT_EQ(transport.accepted, 4 * 3);
  EXPECT_EQ(outcome.exit_code, 0);
}

// A device that misses every deadline is heard every other round, whatever the order of the others;
// what it says changes the model.
TEST_F(EdgesRunTest, LateAnswersJoinTheNextTraining) {
  const std::string yaml =
      std::string(kConfig) + "network: {quorum: 0.8, deadline: 1ns, late: 1}\n";
  const auto run_with = [&](const std::string& config, const std::string& out, std::uint64_t seed) {
    ScriptedTransport transport(root(), seed);
    transport.slow = {1};
    RunOutcome outcome = run(config, out, &transport);
    EXPECT_EQ(outcome.exit_code, 0);
    return outcome;
  };
  const RunOutcome late = run_with(yaml, "late", 5);
  EXPECT_EQ(missing("late"), (std::vector<std::int64_t>{1, 0, 1, 0}));
  EXPECT_EQ(model_of(run_with(yaml, "again", 6)), model_of(late));
  const RunOutcome refused =
      run_with(std::string(kConfig) + "network: {quorum: 0.8, deadline: 1ns}\n", "refused", 5);
  EXPECT_EQ(missing("refused"), std::vector<std::int64_t>(4, 1));
  EXPECT_NE(model_of(refused), model_of(late));

  // Every round of the shrinking model asks more than to train, and asks everyone anew.
  run_with(yaml + kCompress, "asks", 5);
  EXPECT_EQ(missing("asks"), (std::vector<std::int64_t>{1, 0, 1, 0, 1, 1, 1, 1}));

  // A mask that moves with every training.
  run_with(std::regex_replace(yaml, std::regex("rounds: 4"), "rounds: 8") + kMoves, "moves", 5);
  EXPECT_EQ(missing("moves"), (std::vector<std::int64_t>{1, 1, 0, 1, 0, 1, 0, 1}));
}

// It is asked the newest training when it comes, not the one that it was not there for.
TEST_F(EdgesRunTest, OneThatWasNotConnectedIsNotLate) {
  ScriptedTransport transport(root(), 5);
  transport.opened = [](ScriptedTransport& devices, int step) {
    devices.silent.clear();
    if (step < 2) devices.silent.insert(1);
  };
  run(std::string(kConfig) + "network: {quorum: 0.8, deadline: 1ns, late: 3}\n", "away",
      &transport);
  EXPECT_EQ(missing("away"), (std::vector<std::int64_t>{1, 1, 0, 0}));
}

// Updates that come late bring no ballots: what is to go waits for a round that has some.
TEST_F(EdgesRunTest, NoChannelGoesWithoutAVote) {
  ScriptedTransport transport(root(), 5);
  transport.slow = {1, 2, 3, 4};
  transport.opened = [](ScriptedTransport& devices, int step) {
    devices.silent.clear();
    if (step == 1) devices.silent.insert(0);
  };
  const std::string yaml = std::regex_replace(
      std::string(kConfig) + "network: {quorum: 0.2, deadline: 1ns, late: 1}\n" + kBallots,
      std::regex("rounds: 4"), "rounds: 20");
  EXPECT_EQ(run(yaml, "votes", &transport).exit_code, 0);
  const std::vector<std::int64_t> absent = missing("votes");
  EXPECT_EQ((std::vector{absent[0], absent[1], absent[2]}), (std::vector<std::int64_t>{4, 1, 4}));
  const std::vector<std::int64_t> parameters = figures("votes", "parameters");
  EXPECT_EQ(parameters[1], parameters[0]);
  EXPECT_LT(parameters[2], parameters[1]);
}

// Nobody waits for one that is away when the others cannot make a quorum.
TEST_F(EdgesRunTest, AQuorumOutOfReachEndsTheRun) {
  ScriptedTransport transport(root(), 5);
  transport.silent = {1};
  transport.change = [](ScriptedTransport&, NodeEvent& event) {
    if (event.node == "client-2" || event.node == "client-3") event.answer.resize(9);
  };
  try {
    run(std::string(kConfig) + "network: {quorum: 0.8, deadline: 3600s}\n", "few", &transport);
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(describe(error).find("fewer than network.quorum (0.8); client-"), std::string::npos)
        << describe(error);
  }
}

TEST_F(EdgesRunTest, ACoordinatorOfAnotherVersionOrWithOtherDataIsDeclined) {
  const ExperimentConfig config =
      parse_config(kConfig, "test.yaml", std::vector{"data.root=" + root()});
  EdgeSetup setup{.config = resolved_yaml(config), .version = "0.1.0", .executor = "resident"};
  EXPECT_THROW(open_edge_world(setup, {root()}, 0), DataError);
  const std::unique_ptr<const Dataset> data = load_dataset(dataset_request(config.data));
  setup.data_sha256 = clients_sha256(*data, make_partition(*data, partition_request(config)));
  EXPECT_EQ(open_edge_world(setup, {root()}, 0).partition.clients.size(), 5U);
  setup.version = "0.0.9";
  EXPECT_THROW(open_edge_world(setup, {root()}, 0), ConfigError);
}

TEST(EdgeStepTest, IsReadAsItWasWritten) {
  EdgeStep step{.model_frame = {1, 2, 3}, .model_bytes = 3, .reference_frame = {9}};
  EXPECT_EQ(decode_edge_step(encode_edge_step(step)), step);
  EdgeStep changes{.changes = {{7, 8}, {9}}, .model_number = 2};
  EXPECT_EQ(decode_edge_step(encode_edge_step(changes)), changes);
  expect_damage_is_refused(encode_edge_step(changes), decode_edge_step);
  changes.model_number = 1;
  EXPECT_THROW(decode_edge_step(encode_edge_step(changes)), WireError) << "of model -1";
  changes.model_number = 2;
  changes.model_frame = {1};
  EXPECT_THROW(decode_edge_step(encode_edge_step(changes)), WireError) << "and a whole model";
  changes = {.model_frame = {1}, .model_number = -2};
  EXPECT_THROW(decode_edge_step(encode_edge_step(changes)), WireError);
  step.setup = EdgeSetup{"seed: 1\n",          "0.1.0",  "resident", "AVX2", "ab",
                         "8 numbers, 1 label", "a\nb\n", 2,          0};
  step.teacher_frame = {4, 5};
  const std::vector<std::uint8_t> bytes = encode_edge_step(step);
  EXPECT_EQ(decode_edge_step(bytes), step);
  expect_damage_is_refused(bytes, decode_edge_step);
}

TEST(EdgeStepTest, NodesAreNamedAfterTheirClients) {
  EXPECT_EQ(node_of_client(0), "client-0");
  EXPECT_EQ(client_of_node("client-17"), 17);
  for (const char* other : {"", "client-", "client-01", "client--1", "client-1x", "edge-1",
                            "client-99999999999999999999", "client-+1", "Client-1"}) {
    EXPECT_EQ(client_of_node(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace coppice
