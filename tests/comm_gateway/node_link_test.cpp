// A device's end: when it gives up, when it goes on, and many of them on one thread.

#include "comm/gateway/node_link.h"

#include <gtest/gtest.h>

#include "comm/gateway/node_fleet.h"
#include "core/error.h"
#include "tests/comm_gateway/fleet.h"
#include "tests/core/thrown.h"

namespace coppice::gateway {
namespace {

using session::ByeReason;

NodeAnswer answer(const NodeWork& work) { return NodeAnswer::of(work.task); }

TEST(NodeLinkTest, ItGivesUpAfterTheTimeItWasGiven) {
  const Fleet fleet(1);
  // A port where nobody listens: the kernel's, closed again.
  std::uint16_t port = 0;
  { port = Coordinator(fleet).gateway.port(); }
  NodeLinkOptions options = fleet.link(0, port);
  options.node.give_up_ms = 50;
  NodeLink link(options);
  std::vector<std::string> failures;
  const NodeEnd end =
      link.run({.work = answer, .link = [&](bool is_connected, const std::string& text) {
                  EXPECT_FALSE(is_connected);
                  failures.push_back(text);
                }});
  EXPECT_EQ(end.why, NodeEnd::Why::kGaveUp);
  EXPECT_EQ(end.text, "no session for 50 ms");
  ASSERT_GE(failures.size(), 3U);
  EXPECT_EQ(failures.front(), "Connection refused");
}

TEST(NodeLinkTest, ACoordinatorThatComesBackIsFoundAgain) {
  const Fleet fleet(1);
  auto first = std::make_unique<Coordinator>(fleet);
  const std::uint16_t port = first->gateway.port();
  Device device(fleet.link(0, port), answer);
  first->await<Joined>("n0");
  first.reset();  // killed, as far as the node can see
  GatewayOptions options = fleet.options();
  options.port = port;
  Coordinator second(fleet, options);
  second.open(0, some_model(10));
  second.await<Arrived>("n0");
  second.gateway.stop(ByeReason::kLeaving, "back soon");
  device.stop();
  EXPECT_EQ(device.end().why, NodeEnd::Why::kStopped);
}

TEST(NodeLinkTest, ItIsStoppedBeforeWhileAndAfterItRuns) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  NodeLink before(fleet.link(0, coordinator.gateway.port()));
  before.stop();
  EXPECT_EQ(before.run({.work = answer}).why, NodeEnd::Why::kStopped);
  before.stop();
  Device running(fleet.link(0, coordinator.gateway.port()), answer);
  coordinator.await<Joined>("n0");
  running.stop();
  EXPECT_EQ(running.end().why, NodeEnd::Why::kStopped);
  EXPECT_EQ(coordinator.await<Left>("n0").reason, "said bye: stopped");
}

TEST(NodeLinkTest, WhatAHandlerThrowsIsThrown) {
  const Fleet fleet(1);
  Coordinator coordinator(fleet);
  coordinator.open(0, some_model(10));
  NodeLink link(fleet.link(0, coordinator.gateway.port()));
  EXPECT_EQ(thrown_text<DataError>([&] {
              link.run({.work = [](const NodeWork&) -> NodeAnswer {
                throw DataError("the device has no data");
              }});
            }),
            "the device has no data");
}

TEST(NodeLinkTest, AnotherCoordinatorsCertificateIsNotTrusted) {
  const Fleet fleet(1);
  const Fleet other(1);
  Coordinator coordinator(fleet);
  NodeLinkOptions options = other.link(0, coordinator.gateway.port());
  options.node.give_up_ms = 30;
  NodeLink link(options);
  std::string first;
  link.run({.work = answer, .link = [&](bool /*is_connected*/, const std::string& text) {
              if (first.empty()) first = text;
            }});
  EXPECT_TRUE(contains(first, "certificate")) << first;
  EXPECT_EQ(coordinator.gateway.counters().handshakes, 0);
}

TEST(NodeLinkTest, OptionsThatContradictEachOtherAreRefused) {
  const Fleet fleet(1);
  EXPECT_THROW(NodeLink(fleet.link(0, 0)), ConfigError);
  NodeLinkOptions options = fleet.link(0, 1);
  options.node.backoff_max_ms = 0;
  EXPECT_THROW(NodeLink{options}, ConfigError);
  options = fleet.link(0, 1);
  options.files.key = "nowhere";
  EXPECT_THROW(NodeLink{options}, DataError);
  EXPECT_THROW(NodeAnswer::of({}), Error);
}

TEST(NodeFleetTest, ManyRunOnOneThread) {
  constexpr int kNodes = 40;
  const Fleet fleet(kNodes);
  Coordinator coordinator(fleet);
  std::vector<NodeLinkOptions> options;
  options.reserve(kNodes);
  for (int i = 0; i < kNodes; ++i) options.push_back(fleet.link(i, coordinator.gateway.port()));
  NodeFleet nodes(options, [](const NodeWork& work) { return NodeAnswer::of(*work.model); });
  auto ends = std::async(std::launch::async, [&] { return nodes.run(); });
  const Model model = some_model(20'000);
  coordinator.open(0, model);
  for (int i = 0; i < kNodes; ++i) {
    EXPECT_EQ(coordinator.await<Arrived>(Fleet::name(i)).update, *model);
    coordinator.gateway.settle(Fleet::name(i), Verdict::applied());
  }
  coordinator.gateway.close_round();
  coordinator.gateway.stop(ByeReason::kDone, "");
  for (const NodeEnd& end : ends.get()) EXPECT_EQ(end.why, NodeEnd::Why::kDone) << end.text;
}

}  // namespace
}  // namespace coppice::gateway
