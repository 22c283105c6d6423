// Rounds with honest nodes: each update counts once, whatever happens to the line.

#include "comm/gateway/gateway.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <latch>

#include "core/error.h"
#include "tests/comm_gateway/fleet.h"
#include "tests/core/thrown.h"

namespace coppice::gateway {
namespace {

using session::AckStatus;
using session::ByeReason;

// An update that says what it was made from.
NodeAnswer echo(const NodeWork& work) {
  Bytes update = work.task;
  update.insert(update.end(), work.model->begin(), work.model->end());
  return NodeAnswer::of(std::move(update));
}

TEST(GatewayTest, ANodeGetsItsTaskAndItsUpdateCounts) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Device device(fleet.link(0, coordinator.gateway.port()), echo);
  const Model model = some_model(100'000);
  coordinator.open(0, model);
  coordinator.await<Joined>("n0");
  const auto arrived = coordinator.await<Arrived>("n0");
  EXPECT_EQ(arrived.key, (session::UpdateKey{kRun, 0, "n0", 1}));
  Bytes expected{0, 1};
  expected.insert(expected.end(), model->begin(), model->end());
  EXPECT_EQ(arrived.update, expected);
  coordinator.gateway.settle("n0", Verdict::applied());
  coordinator.gateway.close_round();
  coordinator.gateway.stop(ByeReason::kDone, "all rounds are done");
  const NodeEnd end = device.end();
  EXPECT_EQ(end.why, NodeEnd::Why::kDone);
  EXPECT_EQ(end.text, "all rounds are done");
  EXPECT_EQ(device.settled(), std::vector{AckStatus::kApplied});
  const auto counters = coordinator.gateway.counters();
  EXPECT_EQ(counters.connections, 0);
  EXPECT_EQ(counters.handshakes, 1);
  EXPECT_EQ(counters.enrolled, 1);
  EXPECT_EQ(counters.model_bytes, 100'000U);
  EXPECT_EQ(counters.update_bytes, 100'002U);
  EXPECT_EQ(counters.held_bytes, 0U);
  EXPECT_GT(counters.bytes_in, 100'002U);
  EXPECT_GT(counters.bytes_out, 100'000U);
}

TEST(GatewayTest, TenNodesGoThroughThreeRounds) {
  const Fleet fleet(10);
  Coordinator coordinator(fleet);
  std::list<Device> devices;
  for (int i = 0; i < 10; ++i)
    devices.emplace_back(fleet.link(i, coordinator.gateway.port()), echo);
  // The second round's model is the first one's: nobody downloads it again.
  const Model models[] = {some_model(30'000, 1), some_model(30'000, 1), some_model(30'000, 2)};
  for (std::int64_t round = 0; round < 3; ++round) {
    const Model& model = models[round];
    coordinator.open(round, model);
    for (int i = 0; i < 10; ++i) {
      const auto arrived = coordinator.await<Arrived>(Fleet::name(i));
      EXPECT_EQ(arrived.key.round, round);
      EXPECT_EQ(arrived.key.attempt, 1U);
      EXPECT_EQ(Bytes(arrived.update.begin() + 2, arrived.update.end()), *model);
      coordinator.gateway.settle(arrived.node, Verdict::applied());
    }
    coordinator.gateway.close_round();
  }
  coordinator.gateway.stop(ByeReason::kDone, "done");
  for (Device& device : devices) {
    EXPECT_EQ(device.end().why, NodeEnd::Why::kDone);
    EXPECT_EQ(device.settled(), std::vector(3, AckStatus::kApplied));
    EXPECT_EQ(device.counters().model_bytes, 60'000U);
    EXPECT_EQ(device.counters().sessions, 1);
  }
  EXPECT_EQ(coordinator.gateway.counters().update_bytes, 10U * 3 * 30'002);
}

class CutTest : public ::testing::TestWithParam<int> {};  // percent of the transfer
INSTANTIATE_TEST_SUITE_P(Percent, CutTest, ::testing::Values(1, 50, 99));

constexpr std::size_t kLong = 1'000'000;

TEST_P(CutTest, AnUploadGoesOnWhereItWasCut) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Relay relay(coordinator.gateway.port());
  const Bytes update = some_bytes(kLong, 3);
  Device device(fleet.link(0, relay.port()), [&](const NodeWork&) {
    relay.cut_after_up(kLong / 100 * static_cast<std::uint64_t>(GetParam()));
    return NodeAnswer::of(update);
  });
  coordinator.open(0, some_model(1000));
  const auto arrived = coordinator.await<Arrived>("n0");
  EXPECT_EQ(arrived.update, update);
  EXPECT_EQ(relay.cuts(), 1);
  coordinator.gateway.settle("n0", Verdict::applied());
  coordinator.gateway.close_round();
  coordinator.gateway.stop(ByeReason::kDone, "");
  device.end();
  EXPECT_EQ(device.settled(), std::vector{AckStatus::kApplied});
  EXPECT_EQ(device.counters().sessions, 2);
  EXPECT_EQ(coordinator.gateway.counters().update_bytes, kLong) << "each byte was taken once";
}

TEST_P(CutTest, ADownloadGoesOnWhereItWasCut) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Relay relay(coordinator.gateway.port());
  const Model model = some_model(kLong, 4);
  Device device(fleet.link(0, relay.port()), echo);
  coordinator.await<Joined>("n0");
  relay.cut_after_down(kLong / 100 * static_cast<std::uint64_t>(GetParam()));
  coordinator.open(0, model);
  const auto arrived = coordinator.await<Arrived>("n0");
  EXPECT_EQ(Bytes(arrived.update.begin() + 2, arrived.update.end()), *model);
  EXPECT_EQ(relay.cuts(), 1);
  coordinator.gateway.stop(ByeReason::kDone, "");
  device.end();
  EXPECT_EQ(device.counters().sessions, 2);
  EXPECT_EQ(device.counters().model_bytes, kLong) << "each byte was taken once";
}

TEST(GatewayTest, ANodeMayComeAndGoWhileItWorks) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Relay relay(coordinator.gateway.port());
  std::latch is_back(1);
  std::atomic<int> works{0};
  Device device(fleet.link(0, relay.port()), [&](const NodeWork& work) {
    ++works;
    relay.cut_all();
    is_back.wait();
    return echo(work);
  });
  coordinator.open(0, some_model(5000));
  coordinator.await<Joined>("n0");
  coordinator.until([](const auto& counters) { return counters.enrolled == 2; });
  is_back.count_down();
  coordinator.await<Arrived>("n0");
  coordinator.gateway.settle("n0", Verdict::applied());
  coordinator.gateway.close_round();
  coordinator.gateway.stop(ByeReason::kDone, "");
  device.end();
  EXPECT_EQ(works, 1);
  EXPECT_EQ(device.settled(), std::vector{AckStatus::kApplied});
  EXPECT_EQ(device.counters().model_bytes, 5000U);
}

// Its round is over, and what it was asked stands: the answer comes in the next round, with the key
// that it was asked with, and counts once. What does not stand, or is asked anew, does not count.
TEST(GatewayTest, AQuestionThatStandsIsAnsweredInALaterRound) {
  const Fleet fleet(3);
  Coordinator coordinator(fleet);
  std::latch may_answer(1);
  const auto slowly = [&](const NodeWork& work) {
    if (work.task.front() == 0) may_answer.wait();
    return echo(work);
  };
  Device slow(fleet.link(0, coordinator.gateway.port()), slowly);
  Device superseded(fleet.link(1, coordinator.gateway.port()), slowly);
  Device dropped(fleet.link(2, coordinator.gateway.port()), slowly);
  coordinator.open(0, some_model(1000));
  coordinator.until([](const auto& counters) { return counters.model_bytes == 3000; });
  coordinator.gateway.close_round({"n0", "n1"});
  coordinator.gateway.open(1, {{.node = "n1", .task = {1, 1}, .model = some_model(1000, 2)}});
  may_answer.count_down();
  std::set<std::string> missing{"n0", "n1"};
  while (!missing.empty()) {
    const auto event = coordinator.gateway.next(kPatience);
    ASSERT_TRUE(event);
    const auto* const arrived = std::get_if<Arrived>(&*event);
    if (arrived == nullptr) continue;
    EXPECT_EQ(arrived->key.round, arrived->node == "n0" ? 0 : 1);
    EXPECT_EQ(arrived->update.front(), arrived->node == "n0" ? 0 : 1);
    EXPECT_EQ(missing.erase(arrived->node), 1U);
    coordinator.gateway.settle(arrived->node, Verdict::applied());
  }
  coordinator.gateway.close_round({"n0"});
  coordinator.gateway.stop(ByeReason::kDone, "");
  slow.end();
  superseded.end();
  dropped.end();
  EXPECT_EQ(slow.settled(), std::vector{AckStatus::kApplied});
  EXPECT_EQ(superseded.settled(), (std::vector{AckStatus::kLate, AckStatus::kApplied}));
  for (const AckStatus status : dropped.settled()) EXPECT_EQ(status, AckStatus::kLate);
  EXPECT_EQ(coordinator.gateway.counters().held_bytes, 0U);
}

TEST(GatewayTest, ARefusedUpdateMayBeAskedForAgain) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Device device(fleet.link(0, coordinator.gateway.port()), echo);
  const Model model = some_model(100);
  coordinator.open(0, model);
  EXPECT_EQ(coordinator.await<Arrived>("n0").key.attempt, 1U);
  EXPECT_TRUE(contains(thrown_text<Error>([&] {
                         coordinator.gateway.ask_again({"n0", {9}, model});
                       }),
                       "settled"));
  coordinator.gateway.settle("n0", Verdict::refused("its norm is above the bound"));
  coordinator.gateway.ask_again({"n0", {9}, model});
  const auto second = coordinator.await<Arrived>("n0");
  EXPECT_EQ(second.key.attempt, 2U);
  EXPECT_EQ(second.update.front(), 9);
  coordinator.gateway.settle("n0", Verdict::applied());
  EXPECT_TRUE(contains(thrown_text<Error>([&] {
                         coordinator.gateway.ask_again({"n0", {9}, model});
                       }),
                       "answered"));
  coordinator.gateway.stop(ByeReason::kDone, "");
  device.end();
  EXPECT_EQ(device.settled(), (std::vector{AckStatus::kRefused, AckStatus::kApplied}));
  EXPECT_EQ(device.reasons().front(), "its norm is above the bound");
  EXPECT_EQ(device.counters().model_bytes, 100U);
}

TEST(GatewayTest, ANodeMayDeclineAndBeAskedAgain) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  int works = 0;
  Device device(fleet.link(0, coordinator.gateway.port()), [&](const NodeWork& work) {
    return ++works == 1 ? NodeAnswer::decline("the battery is low\n") : echo(work);
  });
  const Model model = some_model(100);
  coordinator.open(0, model);
  const auto declined = coordinator.await<Declined>("n0");
  EXPECT_EQ(declined.reason, "the battery is low?");
  EXPECT_EQ(declined.key.attempt, 1U);
  coordinator.gateway.ask_again({"n0", {1}, model});
  EXPECT_EQ(coordinator.await<Arrived>("n0").key.attempt, 2U);
}

TEST(GatewayTest, AModelThatIsTooLargeForTheNodeIsDeclined) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  NodeLinkOptions options = fleet.link(0, coordinator.gateway.port());
  options.node.max_model_bytes = 99;
  Device device(options, echo);
  coordinator.open(0, some_model(100));
  EXPECT_EQ(coordinator.await<Declined>("n0").reason,
            "expected a model of at most 99 bytes, got 100");
  EXPECT_EQ(coordinator.gateway.counters().model_bytes, 0U);
}

TEST(GatewayTest, WorkForAnEarlierRoundIsLateAndTheNextRoundComes) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  std::latch is_closed(1);
  std::latch has_begun(1);
  Device device(fleet.link(0, coordinator.gateway.port()), [&](const NodeWork& work) {
    if (work.key.round == 0) {
      has_begun.count_down();
      is_closed.wait();
    }
    return echo(work);
  });
  coordinator.open(0, some_model(100));
  has_begun.wait();
  coordinator.gateway.close_round();
  coordinator.open(1, some_model(100));
  is_closed.count_down();
  EXPECT_EQ(coordinator.await<Arrived>("n0").key.round, 1);
  coordinator.gateway.settle("n0", Verdict::applied());
  coordinator.gateway.stop(ByeReason::kDone, "");
  device.end();
  EXPECT_EQ(device.settled(), (std::vector{AckStatus::kLate, AckStatus::kApplied}));
}

TEST(GatewayTest, ANodeOfAnotherRunOrNoneIsSentAway) {
  const Fleet fleet(2);
  GatewayOptions options = fleet.options();
  const std::vector<std::string> nodes{"n0"};
  Gateway gateway(options, kRun, nodes);
  NodeLinkOptions other = fleet.link(0, gateway.port());
  other.node.run = session::RunId{1};
  NodeLink link(other);
  const std::string thrown = thrown_text<CommError>([&] { link.run({.work = echo}); });
  EXPECT_TRUE(contains(thrown, "expected run 01000")) << thrown;
  EXPECT_TRUE(contains(thrown, "got run") || contains(thrown, "got 070707")) << thrown;
  Device stranger(fleet.link(1, gateway.port()), echo);
  const NodeEnd end = stranger.end();
  EXPECT_EQ(end.why, NodeEnd::Why::kRefused);
  EXPECT_EQ(end.text, "'n1' is not a node of this run");
  EXPECT_EQ(gateway.counters().refused.at("not a node of this run"), 1);
}

TEST(GatewayTest, ARevokedNodeIsSentAwayInTheMiddle) {
  Fleet fleet(1);
  GatewayOptions options = fleet.options();
  options.heartbeat_ms = 20;
  options.silence_ms = 2000;
  Coordinator coordinator(fleet, options);
  Device device(fleet.link(0, coordinator.gateway.port()), echo);
  coordinator.await<Joined>("n0");
  fleet.revoke(0);
  EXPECT_TRUE(contains(coordinator.await<Left>("n0").reason, "revoked"));
  const NodeEnd end = device.end();
  EXPECT_EQ(end.why, NodeEnd::Why::kRefused);
  EXPECT_TRUE(contains(end.text, "revoked")) << end.text;
  // And at the door, where the coordinator's alert says so.
  Device again(fleet.link(0, coordinator.gateway.port()), echo);
  const NodeEnd second = again.end();
  EXPECT_EQ(second.why, NodeEnd::Why::kRefused);
  EXPECT_TRUE(contains(second.text, "revoked")) << second.text;
  coordinator.until(
      [](const auto& counters) { return counters.refused.contains("certificate revoked"); });
}

TEST(GatewayTest, WithoutADescriptorItGoesOnAndLetsInLater) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer opens pipes to see whether memory can be read, and takes their "
                  "absence for an error";
#endif
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Device inside(fleet.link(0, coordinator.gateway.port()), echo);
  coordinator.await<Joined>("n0");
  std::optional<PlainPeer> outside;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{std::min<rlim_t>(before.rlim_cur, 1024), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  {
    std::vector<int> hogs;
    for (int hog = ::dup(0); hog >= 0; hog = ::dup(0)) hogs.push_back(hog);
    // Asio needs three for a loop of its own, and the socket is one more.
    for (int i = 0; i < 4; ++i) {
      ::close(hogs.back());
      hogs.pop_back();
    }
    outside.emplace(coordinator.gateway.port());
    for (int hog = ::dup(0); hog >= 0; hog = ::dup(0)) hogs.push_back(hog);
    coordinator.until([](const auto& counters) { return counters.accept_failures >= 1; });
    coordinator.open(0, some_model(10'000));  // who is inside works on
    coordinator.await<Arrived>("n0");
    for (const int hog : hogs) ::close(hog);
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  outside->send({1, 2, 3});
  coordinator.until([](const auto& counters) { return counters.accepted == 2; });
}

TEST(GatewayTest, CallsOutOfOrderAreRefused) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  Gateway& gateway = coordinator.gateway;
  const Model model = some_model(10);
  EXPECT_THROW(gateway.close_round(), Error);
  EXPECT_THROW(gateway.settle("n0", Verdict::applied()), Error);
  EXPECT_THROW(gateway.ask_again({"n0", {1}, model}), Error);
  EXPECT_THROW(gateway.open(0, {{"n7", {1}, model}}), Error);
  EXPECT_THROW(gateway.open(0, {{"n0", {}, model}}), Error);
  EXPECT_THROW(gateway.open(0, {{"n0", {1}, nullptr}}), Error);
  EXPECT_THROW(gateway.open(0, {{"n0", {1}, model}, {"n0", {1}, model}}), Error);
  gateway.open(0, {});
  EXPECT_THROW(gateway.open(1, {}), Error);
  gateway.close_round();
  EXPECT_THROW(gateway.open(0, {}), Error);
  EXPECT_EQ(gateway.next(milliseconds(0)), std::nullopt);
  gateway.stop(ByeReason::kDone, "");
  gateway.stop(ByeReason::kDone, "");
}

TEST(GatewayTest, OptionsThatContradictEachOtherAreRefused) {
  const Fleet fleet(1);
  const std::vector<std::string> nodes{"n0"};
  const auto refused = [&](auto&& change) {
    GatewayOptions options = fleet.options();
    change(options);
    return thrown_text<ConfigError>([&] { Gateway gateway(options, kRun, nodes); });
  };
  EXPECT_TRUE(contains(refused([](auto& o) { o.silence_ms = o.heartbeat_ms; }), "silence"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.buffer_bytes = 1; }), "largest update"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.address = "nowhere"; }), "nowhere"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.handshake_ms = 0; }), "handshakes"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.max_connections = 0; }), "connection"));
  const std::vector<std::string> twice{"n0", "n0"};
  EXPECT_THROW(Gateway(fleet.options(), kRun, twice), ConfigError);
  Gateway first(fleet.options(), kRun, nodes);
  EXPECT_TRUE(contains(refused([&](auto& o) { o.port = first.port(); }), "in use"));
  GatewayOptions options = fleet.options();
  options.files.authority = "nowhere";
  EXPECT_THROW(Gateway(options, kRun, nodes), DataError);
}

}  // namespace
}  // namespace coppice::gateway
