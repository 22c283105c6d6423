// A run whose clients are devices of their own is the run whose clients ranks simulate: the same
// model and the same figures, in whatever order devices answer, and though some are started anew.
#include "launch/edges.h"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "client/edge_worker.h"
#include "comm/client_answer.h"
#include "comm/communicator.h"
#include "core/config/config.h"
#include "core/error.h"
#include "launch/device/edge_world.h"
#include "launch/federation.h"
#include "tests/data/data_files.h"
#include "tests/end_to_end/tiny_data.h"

namespace coppice {
namespace {

// Devices in this process that answer in an order drawn from a seed.
class ScriptedTransport final : public Transport {
 public:
  using Change = std::function<void(ScriptedTransport&, NodeEvent&)>;

  ScriptedTransport(std::string root, std::uint64_t seed) : root_(std::move(root)), order_(seed) {}

  void open(std::int64_t step, std::vector<NodeQuestion> questions) override {
    EXPECT_GT(step, last_step_);
    last_step_ = step;
    std::ranges::shuffle(questions, order_);
    for (NodeQuestion& question : questions) waiting_.push_back(std::move(question));
  }
  std::optional<NodeEvent> next(std::chrono::milliseconds) override {
    std::erase_if(waiting_, [this](const NodeQuestion& question) {
      return silent.contains(client_of_node(question.node).value());
    });
    if (waiting_.empty() && !silent.empty()) return std::nullopt;
    if (waiting_.empty()) {
      ADD_FAILURE() << "an answer is waited for, and all are in";
      throw Error("stuck");
    }
    const NodeQuestion question = waiting_.front();
    waiting_.pop_front();
    const std::int64_t client = client_of_node(question.node).value();
    if (restarts && ++asked_ % 7 == 0) devices_.erase(client);
    EdgeWorker::Reply reply = device(client).handle(question.task, *question.model);
    NodeEvent event{.kind = NodeEventKind::kAnswered, .node = question.node};
    if (!reply.declined.empty()) {
      event.kind = NodeEventKind::kDeclined;
      event.reason = std::move(reply.declined);
      ++declined;
    }
    event.answer = std::move(reply.answer);
    if (change) change(*this, event);
    return event;
  }
  void accept(const std::string&) override { ++accepted; }
  void refuse(const std::string&, const std::string& reason) override {
    refusals.push_back(reason);
  }
  void ask_again(NodeQuestion question) override { waiting_.push_back(std::move(question)); }
  void close() override { EXPECT_TRUE(waiting_.empty()); }
  void finish() override { is_finished = true; }

  EdgeWorker& device(std::int64_t client) {
    const auto open = [this](const EdgeSetup& setup) { return open_edge_world(setup, root_); };
    return devices_.try_emplace(client, client, open).first->second;
  }

  bool restarts = false;
  std::set<std::int64_t> silent;  // clients that never answer
  bool is_finished = false;
  Change change;
  int accepted = 0;
  int declined = 0;
  std::vector<std::string> refusals;

 private:
  std::string root_;
  std::mt19937_64 order_;
  std::int64_t last_step_ = -1;
  int asked_ = 0;
  std::deque<NodeQuestion> waiting_;
  std::map<std::int64_t, EdgeWorker> devices_;
};

// Lends a transport that the test keeps.
class Lent final : public Transport {
 public:
  explicit Lent(Transport& owned) : owned_(owned) {}
  void open(std::int64_t step, std::vector<NodeQuestion> questions) override {
    owned_.open(step, std::move(questions));
  }
  std::optional<NodeEvent> next(std::chrono::milliseconds timeout) override {
    return owned_.next(timeout);
  }
  void accept(const std::string& node) override { owned_.accept(node); }
  void refuse(const std::string& node, const std::string& reason) override {
    owned_.refuse(node, reason);
  }
  void ask_again(NodeQuestion question) override { owned_.ask_again(std::move(question)); }
  void close() override { owned_.close(); }
  void finish() override { owned_.finish(); }

 private:
  Transport& owned_;
};

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
  static std::string model_of(const RunOutcome& outcome) {
    return outcome.summary.at("model_sha256").as_text();
  }
  static std::int64_t bytes_up(const RunOutcome& outcome) {
    return outcome.summary.at("bytes_up").as_integer();
  }

  DataFolder folder_;
};

TEST_F(EdgesRunTest, DevicesGiveTheModelAndTheBytesOfRanks) {
  const std::vector<std::string> varieties = {
      kConfig, kConfig + std::string(kCompress), kConfig + std::string(kBallots),
      kConfig + std::string(kCompress) + "comm: {codec: rotated, budget: 3000}\n"};
  for (std::size_t i = 0; i < varieties.size(); ++i) {
    const std::string name = std::to_string(i);
    const RunOutcome ranks = run(varieties[i], "ranks" + name, nullptr);
    for (const std::uint64_t seed : {1U, 2U}) {
      ScriptedTransport transport(root(), seed);
      transport.restarts = seed == 2;
      const RunOutcome devices =
          run(varieties[i], "devices" + name + std::to_string(seed), &transport);
      EXPECT_EQ(model_of(devices), model_of(ranks)) << i << ", seed " << seed;
      EXPECT_EQ(bytes_up(devices), bytes_up(ranks)) << i;
      EXPECT_GT(transport.accepted, 15);
      EXPECT_EQ(transport.declined > 0, transport.restarts);
      EXPECT_TRUE(transport.refusals.empty());
      EXPECT_TRUE(transport.is_finished);
    }
    ScriptedTransport some(root(), 3);  // ranks have the other clients
    EXPECT_EQ(model_of(run(varieties[i], "mixed" + name, &some, {1, 4})), model_of(ranks)) << i;
  }
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
  EXPECT_THROW(open_edge_world(setup, root()), DataError);
  const std::unique_ptr<const Dataset> data = load_dataset(dataset_request(config.data));
  setup.data_sha256 = clients_sha256(*data, make_partition(*data, partition_request(config)));
  EXPECT_EQ(open_edge_world(setup, root()).partition.clients.size(), 5U);
  setup.version = "0.0.9";
  EXPECT_THROW(open_edge_world(setup, root()), ConfigError);
}

TEST(EdgeStepTest, IsReadAsItWasWritten) {
  EdgeStep step{.model_frame = {1, 2, 3}, .model_bytes = 3, .reference_frame = {9}};
  EXPECT_EQ(decode_edge_step(encode_edge_step(step)), step);
  step.setup = EdgeSetup{"seed: 1\n", "0.1.0", "resident", "AVX2", "ab"};
  step.teacher_frame = {4, 5};
  const std::vector<std::uint8_t> bytes = encode_edge_step(step);
  EXPECT_EQ(decode_edge_step(bytes), step);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::vector<std::uint8_t> bad = bytes;
    bad[at] ^= 0x20U;
    EXPECT_THROW(decode_edge_step(bad), WireError) << at;
    bad = bytes;
    bad.resize(at);
    EXPECT_THROW(decode_edge_step(bad), WireError) << at;
  }
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
