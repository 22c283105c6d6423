// A node that answers twice, by two connections, while its first answer waits to be looked at.

#include <gtest/gtest.h>

#include "tests/comm_gateway/fleet.h"

namespace coppice::gateway {
namespace {

using session::AckStatus;

class SecondConnectionTest : public ::testing::Test {
 protected:
  SecondConnectionTest() { coordinator_.open(0, some_model(100)); }

  static GatewayOptions small(const Fleet& fleet) {
    GatewayOptions options = fleet.options();
    options.max_update_bytes = 1000;
    options.buffer_bytes = 1500;
    return options;
  }

  // What it delivers is not what it offered; nobody has noticed yet.
  std::unique_ptr<ScriptedNode> that_lied() {
    auto node = std::make_unique<ScriptedNode>(fleet_, 0, coordinator_.gateway.port());
    node->enroll();
    node->offer(node->take_task(), {1, 2});
    EXPECT_EQ(node->receive<session::Ack>().status, AckStatus::kSendFrom);
    node->upload({1, 3}, 0);
    coordinator_.until([](const auto& counters) { return counters.update_bytes == 2; });
    return node;
  }
  std::unique_ptr<ScriptedNode> that_comes_again(session::Task& task) {
    auto node = std::make_unique<ScriptedNode>(fleet_, 0, coordinator_.gateway.port());
    node->enroll();
    task = node->receive<session::Task>();  // it has the model
    return node;
  }
  // Sent, and read at the other end.
  void say(ScriptedNode& node, const session::Message& message) {
    const std::uint64_t before = coordinator_.gateway.counters().bytes_in;
    node.send(message);
    coordinator_.until([=](const auto& counters) { return counters.bytes_in > before; });
  }

  Fleet fleet_{1};
  Coordinator coordinator_{fleet_, small(fleet_)};
  session::Task task_;
};

TEST_F(SecondConnectionTest, MayDecline) {
  const auto first = that_lied();
  const auto second = that_comes_again(task_);
  say(*second, session::Decline{task_.key, "no more"});
  EXPECT_EQ(coordinator_.await<Declined>("n0").reason, "no more");
  EXPECT_EQ(second->receive<session::Ack>().status, AckStatus::kRefused);
  EXPECT_EQ(coordinator_.gateway.counters().held_bytes, 0U);
}

TEST_F(SecondConnectionTest, GetsNoRoomThatWasNotPromisedToIt) {
  const auto first = that_lied();
  const auto second = that_comes_again(task_);
  say(*second, session::UpdateOffer{task_.key, 1001, {}});
  EXPECT_EQ(coordinator_.await<Declined>("n0").reason,
            "expected an update of at most 1000 bytes, got 1001");
  EXPECT_EQ(second->receive<session::Ack>().status, AckStatus::kRefused);
  EXPECT_EQ(coordinator_.gateway.counters().held_bytes, 0U);
}

TEST_F(SecondConnectionTest, MayDoBetter) {
  const auto first = that_lied();
  const auto second = that_comes_again(task_);
  const Bytes update = some_bytes(900, 7);
  say(*second, session::UpdateOffer{task_.key, 900, digest_of(update)});
  auto owner = std::async(std::launch::async, [&] { return coordinator_.await<Arrived>("n0"); });
  const auto ack = second->receive<session::Ack>();
  EXPECT_EQ(ack.status, AckStatus::kSendFrom);
  EXPECT_EQ(ack.offset, 0U);
  second->upload(update, 0);
  EXPECT_EQ(owner.get().update, update);
  EXPECT_EQ(coordinator_.gateway.counters().held_bytes, 0U);
}

}  // namespace
}  // namespace coppice::gateway
