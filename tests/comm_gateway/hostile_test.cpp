// Nodes that say too much, too little or the wrong thing, and what each costs the honest ones.

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/comm_gateway/fleet.h"
#include "tests/core/thrown.h"

namespace coppice::gateway {
namespace {

using session::AckStatus;
using session::ByeReason;

NodeAnswer answer(const NodeWork& work) { return NodeAnswer::of(work.task); }

GatewayOptions hurried(const Fleet& fleet) {
  GatewayOptions options = fleet.options();
  options.heartbeat_ms = 20;
  options.silence_ms = 200;
  options.handshake_ms = 150;
  return options;
}

// ---- an update counts once

TEST(OnceTest, AnUpdateWhoseAckWasLostIsADuplicate) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(100));
  const Bytes update = some_bytes(200'000, 5);
  ScriptedNode first(fleet, 0, coordinator.gateway.port());
  first.enroll();
  const auto task = first.take_task();
  first.offer(task, update);
  EXPECT_EQ(first.receive<session::Ack>().offset, 0U);
  first.upload(update, 0);
  coordinator.await<Arrived>("n0");
  first.cut();
  coordinator.await<Left>("n0");
  coordinator.gateway.settle("n0", Verdict::applied());
  ScriptedNode second(fleet, 0, coordinator.gateway.port());
  second.enroll();
  EXPECT_EQ(second.receive<session::Task>().key, task.key);
  second.offer(task, update);
  EXPECT_EQ(second.receive<session::Ack>().status, AckStatus::kDuplicate);
  EXPECT_EQ(coordinator.gateway.counters().update_bytes, update.size());
}

TEST(OnceTest, ANodeThatComesBackBeforeTheVerdictHearsIt) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(100));
  const Bytes update{1, 2, 3};
  for (int connection = 0; connection < 2; ++connection) {
    ScriptedNode node(fleet, 0, coordinator.gateway.port());
    node.enroll();
    const auto task = node.receive<session::Task>();
    node.offer(task, update);
    if (connection == 0) {
      node.receive<session::Ack>();
      node.upload(update, 0);
      coordinator.await<Arrived>("n0");
      continue;
    }
    coordinator.gateway.settle("n0", Verdict::refused("not finite"));
    const auto ack = node.receive<session::Ack>();
    EXPECT_EQ(ack.status, AckStatus::kRefused);
    EXPECT_EQ(ack.reason, "not finite");
  }
}

TEST(OnceTest, ANodeThatForgotItsAnswerDoesNotWorkAgain) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(100));
  {
    ScriptedNode node(fleet, 0, coordinator.gateway.port());
    node.enroll();
    const auto task = node.receive<session::Task>();
    node.offer(task, {1});
    node.receive<session::Ack>();
    node.upload({1}, 0);
    coordinator.await<Arrived>("n0");
    coordinator.gateway.settle("n0", Verdict::applied());
    EXPECT_EQ(node.receive<session::Ack>().status, AckStatus::kApplied);
  }
  ScriptedNode restarted(fleet, 0, coordinator.gateway.port());
  restarted.enroll();
  const auto task = restarted.receive<session::Task>();
  restarted.send(session::ModelRequest{task.model, 0});
  EXPECT_EQ(restarted.receive<session::Bye>().reason, ByeReason::kLeaving);
  ScriptedNode again(fleet, 0, coordinator.gateway.port());
  again.enroll();
  coordinator.gateway.close_round();
  coordinator.open(1, some_model(100));
  EXPECT_EQ(again.receive<session::Task>().key.round, 1) << "nothing of round 0 came before";
}

TEST(OnceTest, AnAttemptThatWasReplacedIsLate) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  const Model model = some_model(100);
  coordinator.open(0, model);
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  const auto first = node.take_task();
  coordinator.gateway.ask_again({"n0", {2}, model});
  coordinator.until([](const auto&) { return true; });  // so that it has been asked
  node.offer(first, {1});
  EXPECT_EQ(node.receive<session::Ack>().status, AckStatus::kLate);
  const auto second = node.receive<session::Task>();
  EXPECT_EQ(second.key.attempt, 2U);
  EXPECT_EQ(second.task, Bytes{2});
  node.offer(second, {2});
  node.receive<session::Ack>();
  node.upload({2}, 0);
  EXPECT_EQ(coordinator.await<Arrived>("n0").update, Bytes{2});
}

TEST(LateTest, WhatComesAfterTheRoundIsLateWhereverItIs) {
  const Fleet fleet(4);
  Coordinator coordinator(fleet);
  Gateway& gateway = coordinator.gateway;
  coordinator.open(0, std::make_shared<const Bytes>(20'000'000));  // more than sockets hold
  const Bytes update = some_bytes(session::kChunkBytes + 1, 6);
  ScriptedNode working(fleet, 0, gateway.port());
  ScriptedNode uploading(fleet, 1, gateway.port());
  ScriptedNode arrived(fleet, 2, gateway.port());
  ScriptedNode downloading(fleet, 3, gateway.port());
  session::Task tasks[4];
  ScriptedNode* const nodes[] = {&working, &uploading, &arrived, &downloading};
  for (int i = 0; i < 4; ++i) {
    nodes[i]->enroll();
    tasks[i] = nodes[i]->receive<session::Task>();
  }
  for (int i = 1; i < 3; ++i) {
    nodes[i]->offer(tasks[i], update);
    EXPECT_EQ(nodes[i]->receive<session::Ack>().status, AckStatus::kSendFrom);
  }
  uploading.send(session::UpdateChunk{0, update.size(), {update.begin(), update.end() - 1}});
  arrived.upload(update, 0);
  downloading.send(session::ModelRequest{tasks[3].model, 0});
  downloading.receive<session::ModelChunk>();
  coordinator.until(
      [&](const auto& counters) { return counters.update_bytes == 2 * update.size() - 1; });
  gateway.close_round();
  EXPECT_EQ(arrived.receive<session::Ack>().status, AckStatus::kLate) << "nobody took it";
  uploading.send(session::UpdateChunk{update.size() - 1, update.size(), {update.back()}});
  EXPECT_EQ(uploading.receive<session::Ack>().status, AckStatus::kLate);
  working.offer(tasks[0], update);
  EXPECT_EQ(working.receive<session::Ack>().status, AckStatus::kLate);
  for (auto message = downloading.receive_any();; message = downloading.receive_any()) {
    ASSERT_TRUE(message);
    if (std::holds_alternative<session::ModelChunk>(*message)) continue;
    EXPECT_EQ(std::get<session::Bye>(*message).reason, ByeReason::kLeaving);
    break;
  }
  EXPECT_EQ(gateway.counters().held_bytes, 0U);
  while (const auto event = gateway.next(milliseconds(1)))
    EXPECT_FALSE(std::holds_alternative<Arrived>(*event));
}

// ---- updates that are not what they should be

TEST(UpdateTest, OneWithAnotherDigestIsSentAgainFromTheBeginning) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(100));
  const Bytes update = some_bytes(100'000, 7);
  Bytes damaged = update;
  damaged[50'000] ^= 1;
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  const auto task = node.take_task();
  node.offer(task, update);
  node.receive<session::Ack>();
  node.upload(damaged, 0);
  auto owner = std::async(std::launch::async, [&] { return coordinator.await<Arrived>("n0"); });
  const auto ack = node.receive<session::Ack>();
  EXPECT_EQ(ack.status, AckStatus::kSendFrom);
  EXPECT_EQ(ack.offset, 0U);
  node.upload(update, 0);
  EXPECT_EQ(owner.get().update, update);
  EXPECT_EQ(coordinator.gateway.counters().held_bytes, 0U);
}

TEST(UpdateTest, OneThatIsDamagedThreeTimesIsRefused) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(100));
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  const auto task = node.take_task();
  auto owner = std::async(std::launch::async, [&] { return coordinator.await<Declined>("n0"); });
  node.offer(task, {1, 2});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(node.receive<session::Ack>().status, AckStatus::kSendFrom);
    node.upload({1, 3}, 0);
  }
  const auto ack = node.receive<session::Ack>();
  EXPECT_EQ(ack.status, AckStatus::kRefused);
  EXPECT_TRUE(contains(ack.reason, "digest")) << ack.reason;
  EXPECT_EQ(owner.get().reason, ack.reason);
  EXPECT_EQ(coordinator.gateway.counters().held_bytes, 0U);
}

TEST(UpdateTest, OneThatIsTooLargeIsRefusedBeforeItIsSent) {
  const Fleet fleet(1);
  GatewayOptions options = fleet.options();
  options.max_update_bytes = 1000;
  Coordinator coordinator(fleet, options);
  coordinator.open(0, some_model(100));
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  const auto task = node.take_task();
  node.send(session::UpdateOffer{task.key, 1001, {}});
  const auto ack = node.receive<session::Ack>();
  EXPECT_EQ(ack.status, AckStatus::kRefused);
  EXPECT_EQ(ack.reason, "expected an update of at most 1000 bytes, got 1001");
  EXPECT_EQ(coordinator.await<Declined>("n0").reason, ack.reason);
}

TEST(UpdateTest, TheyWaitUntilTheBufferHasRoom) {
  const Fleet fleet(3);
  GatewayOptions options = fleet.options();
  options.max_update_bytes = 1000;
  options.buffer_bytes = 1500;
  Coordinator coordinator(fleet, options);
  coordinator.open(0, some_model(100));
  const Bytes update = some_bytes(1000, 8);
  const auto ready = [&](int number) {
    auto node = std::make_unique<ScriptedNode>(fleet, number, coordinator.gateway.port());
    node->enroll();
    const auto task = node->take_task();
    node->offer(task, update);
    return node;
  };
  auto first = ready(0);
  EXPECT_EQ(first->receive<session::Ack>().status, AckStatus::kSendFrom);
  auto second = ready(1);
  auto third = ready(2);
  first->upload(update, 0);
  coordinator.until([](const auto& counters) { return counters.update_bytes == 1000; });
  EXPECT_EQ(coordinator.gateway.counters().held_bytes, 1000U) << "one has room, two wait";
  coordinator.await<Arrived>("n0");
  EXPECT_EQ(second->receive<session::Ack>().status, AckStatus::kSendFrom) << "in turn";
  // The second goes away with its update half sent: its room is the third's.
  second->send(session::UpdateChunk{0, 1000, {update.begin(), update.begin() + 500}});
  coordinator.until([](const auto& counters) { return counters.update_bytes == 1500; });
  second->cut();
  EXPECT_EQ(third->receive<session::Ack>().status, AckStatus::kSendFrom);
  third->upload(update, 0);
  coordinator.await<Arrived>("n2");
  second = ready(1);
  EXPECT_EQ(second->receive<session::Ack>().offset, 0U) << "its first half was given up";
  second->upload(update, 0);
  EXPECT_EQ(coordinator.await<Arrived>("n1").update, update);
  EXPECT_EQ(coordinator.gateway.counters().held_bytes, 0U);
}

// ---- connections that are not what they should be

TEST(HostileTest, GarbageCostsTheHonestNothing) {
  const Fleet fleet(3);
  Coordinator coordinator(fleet);
  const std::uint16_t port = coordinator.gateway.port();
  std::optional<PlainPeer> plain(port);
  plain->send(some_bytes(5000, 1));
  ScriptedNode early(fleet, 1, port);
  early.send_raw(some_bytes(100, 2));
  ScriptedNode late(fleet, 2, port);
  late.enroll();
  coordinator.await<Joined>("n2");
  late.send_raw(some_bytes(100'000, 3));
  Device honest(fleet.link(0, port), answer);
  coordinator.open_for(0, {0}, some_model(10'000));
  coordinator.await<Arrived>("n0");
  EXPECT_EQ(early.receive<session::Bye>().reason, ByeReason::kProtocol);
  EXPECT_EQ(late.receive<session::Bye>().reason, ByeReason::kProtocol);
  EXPECT_TRUE(plain->is_closed_within(kPatience));
  plain.reset();
  coordinator.await<Left>("n2");
  const auto counters =
      coordinator.until([](const auto& now) { return now.broken == 2 && !now.refused.empty(); });
  EXPECT_EQ(counters.refused.size(), 1U);
}

TEST(HostileTest, AMessageOutOfTurnEndsTheSession) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  coordinator.await<Joined>("n0");
  node.send_raw(session::encode(session::UpdateOffer{{kRun, 0, "n0", 1}, 10, {}}));
  const auto bye = node.receive<session::Bye>();
  EXPECT_EQ(bye.reason, ByeReason::kProtocol);
  EXPECT_TRUE(contains(bye.text, "update offer")) << bye.text;
  EXPECT_TRUE(contains(coordinator.await<Left>("n0").reason, "update offer"));
}

TEST(HostileTest, AnUnknownVersionIsToldWhich) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.send(session::Hello{7, 9, "of later"});
  EXPECT_EQ(node.receive<session::Bye>().reason, ByeReason::kVersion);
  EXPECT_EQ(coordinator.gateway.counters().refused.at("no version in common"), 1);
}

TEST(HostileTest, AFloodOfHeartbeatsEndsTheSession) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  Bytes flood;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const Bytes beat = session::encode(session::Heartbeat{i});
    flood.insert(flood.end(), beat.begin(), beat.end());
  }
  node.send_raw(flood);
  EXPECT_EQ(node.receive<session::Bye>().reason, ByeReason::kProtocol);
}

TEST(HostileTest, AHandshakeThatTakesForEverIsDropped) {
  const Fleet fleet(1);
  GatewayOptions options = hurried(fleet);
  options.max_handshakes = 2;
  Coordinator coordinator(fleet, options);
  const std::uint16_t port = coordinator.gateway.port();
  PlainPeer mute(port);
  PlainPeer slow(port);
  slow.send({22, 3, 1});    // the beginning of a hello of TLS, and no more
  PlainPeer outside(port);  // not let in while the two are there
  coordinator.until([](const auto& counters) { return counters.accepted == 2; });
  EXPECT_TRUE(mute.is_closed_within(kPatience));
  EXPECT_TRUE(slow.is_closed_within(kPatience));
  EXPECT_TRUE(outside.is_closed_within(kPatience));
  const auto counters = coordinator.until([](const auto& now) { return now.connections == 0; });
  EXPECT_EQ(counters.refused.at("no session after 150 ms"), 3);
}

TEST(HostileTest, ANodeThatNeverSaysHelloIsDropped) {
  const Fleet fleet(1);
  GatewayOptions options = fleet.options();
  options.handshake_ms = 400;
  Coordinator coordinator(fleet, options);
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  EXPECT_FALSE(node.receive_any());
  EXPECT_EQ(coordinator.gateway.counters().handshakes, 1);
}

TEST(HostileTest, ASilentNodeIsNoticed) {
  const Fleet fleet(1);
  GatewayOptions options = hurried(fleet);
  options.handshake_ms = 5000;
  Coordinator coordinator(fleet, options);
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  coordinator.await<Joined>("n0");
  const auto since = std::chrono::steady_clock::now();
  EXPECT_EQ(coordinator.await<Left>("n0").reason, "silent for 200 ms");
  EXPECT_GE(std::chrono::steady_clock::now() - since, milliseconds(150));
}

TEST(HostileTest, ALineThatIsDeadIsNoticedAtBothEnds) {
  const Fleet fleet(1);
  GatewayOptions options = hurried(fleet);
  options.handshake_ms = 5000;
  Coordinator coordinator(fleet, options);
  Relay relay(coordinator.gateway.port());
  std::promise<void> connected;
  std::promise<std::string> lost;
  NodeLink link(fleet.link(0, relay.port()));
  NodeHandlers handlers{.work = answer};
  handlers.link = [&, count = 0](bool is_connected, const std::string& text) mutable {
    ++count;
    if (count == 1) connected.set_value();
    if (count == 2) lost.set_value(text);
    EXPECT_TRUE(is_connected == (count == 1) || count > 2);
  };
  auto end = std::async(std::launch::async, [&] { return link.run(handlers); });
  coordinator.await<Joined>("n0");
  connected.get_future().wait();
  relay.hold();
  EXPECT_EQ(coordinator.await<Left>("n0").reason, "silent for 200 ms");
  EXPECT_EQ(lost.get_future().get(), "silent for 200 ms");
  link.stop();
  EXPECT_EQ(end.get().why, NodeEnd::Why::kStopped);
}

TEST(HostileTest, ATransferThatStandsStillIsEndedThoughTheHeartBeats) {
  const Fleet fleet(1);
  GatewayOptions options = hurried(fleet);
  options.stall_ms = 100;
  options.handshake_ms = 5000;
  options.silence_ms = 1000;
  Coordinator coordinator(fleet, options);
  coordinator.open(0, some_model(100));
  ScriptedNode node(fleet, 0, coordinator.gateway.port());
  node.enroll();
  const auto task = node.take_task();
  node.offer(task, {1, 2, 3});
  node.receive<session::Ack>();
  coordinator.await<Joined>("n0");
  EXPECT_EQ(coordinator.await<Left>("n0").reason, "no progress for 100 ms");
}

TEST(HostileTest, ASecondConnectionOfANodeTakesTheFirstOnesPlace) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(100));
  ScriptedNode first(fleet, 0, coordinator.gateway.port());
  first.enroll();
  first.take_task();
  ScriptedNode second(fleet, 0, coordinator.gateway.port());
  second.enroll();
  const auto bye = first.receive<session::Bye>();
  EXPECT_EQ(bye.reason, ByeReason::kRefused);
  EXPECT_TRUE(contains(bye.text, "taken its place"));
  const auto task = second.take_task();
  second.offer(task, {1});
  second.receive<session::Ack>();
  second.upload({1}, 0);
  coordinator.await<Joined>("n0");
  coordinator.await<Arrived>("n0");
  EXPECT_EQ(coordinator.gateway.counters().replaced, 1);
  EXPECT_FALSE(coordinator.gateway.next(milliseconds(1))) << "it never left";
}

TEST(HostileTest, ANodeThatReadsNothingHoldsNobodyUp) {
  const Fleet fleet(2);
  Coordinator coordinator(fleet);
  const auto model = std::make_shared<const Bytes>(20'000'000);
  coordinator.open(0, model);
  ScriptedNode idle(fleet, 0, coordinator.gateway.port());
  idle.enroll();
  const auto task = idle.receive<session::Task>();
  idle.send(session::ModelRequest{task.model, 0});
  Device honest(fleet.link(1, coordinator.gateway.port()), answer);
  coordinator.await<Arrived>("n1");
  EXPECT_LT(coordinator.gateway.counters().model_bytes, 2 * model->size());
}

}  // namespace
}  // namespace coppice::gateway
