// What the default times promise: a node that is cut is noticed within 3.5 s.

#include <gtest/gtest.h>

#include "tests/comm_gateway/fleet.h"

namespace coppice::gateway {
namespace {

TEST(DefaultTimesTest, ADeadLineIsNoticedWithinThreeAndAHalfSecondsAndALiveOneStays) {
  const Fleet fleet(2);
  Coordinator coordinator(fleet);
  Relay relay(coordinator.gateway.port());
  const auto work = [](const NodeWork& given) { return NodeAnswer::of(given.task); };
  Device dead(fleet.link(0, relay.port()), work);
  Device alive(fleet.link(1, coordinator.gateway.port()), work);
  coordinator.open(0, some_model(100));
  coordinator.await<Arrived>("n0");
  coordinator.await<Joined>("n1");
  relay.hold();
  const auto since = std::chrono::steady_clock::now();
  coordinator.await<Left>("n0");
  const auto passed = std::chrono::steady_clock::now() - since;
  // What it said last may be a heartbeat old when the line dies.
  EXPECT_GE(passed, milliseconds(1900));
  EXPECT_LE(passed, milliseconds(3500));
  while (const auto event = coordinator.gateway.next(milliseconds(1)))
    EXPECT_FALSE(std::holds_alternative<Left>(*event));
}

}  // namespace
}  // namespace coppice::gateway
