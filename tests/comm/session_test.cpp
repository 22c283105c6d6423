#include "comm/session/session.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.h"
#include "tests/comm/session_examples.h"
#include "tests/core/thrown.h"

namespace coppice::session {
namespace {

using State = SessionState;
using Type = MessageType;
constexpr Side kSides[] = {Side::kCoordinator, Side::kNode};

Message example(Type type) { return example_messages()[static_cast<std::size_t>(type) - 1]; }

struct Said {
  Side sender;
  Message message;
};

Session after(const std::vector<Said>& conversation) {
  Session session;
  for (const Said& said : conversation) session.accept(said.sender, said.message);
  return session;
}

// How every state is reached.
std::vector<Said> way_to(State state) {
  const Said hello{Side::kNode, example(Type::kHello)};
  const Said welcome{Side::kCoordinator, example(Type::kWelcome)};
  const Said task{Side::kCoordinator, example(Type::kTask)};
  const Said offer{Side::kNode, example(Type::kUpdateOffer)};
  const Said ack{Side::kCoordinator, example(Type::kAck)};
  const Said update{Side::kNode, example(Type::kUpdateChunk)};
  switch (state) {
    case State::kOpening:
      return {};
    case State::kGreeted:
      return {hello};
    case State::kIdle:
      return {hello, welcome};
    case State::kTasked:
      return {hello, welcome, task};
    case State::kModel:
      return {hello, welcome, task, {Side::kNode, example(Type::kModelRequest)}};
    case State::kOffered:
      return {hello, welcome, task, offer};
    case State::kUpdate:
      return {hello, welcome, task, offer, ack};
    case State::kDelivered:
      return {hello, welcome, task, offer, ack, update};
    case State::kClosed:
      return {hello, {Side::kNode, Bye{}}};
  }
  return {};
}

// The table of docs/protocol.md, with the examples' last chunks: where each message leads.
const std::map<std::tuple<State, Type, Side>, State> kTable = {
    {{State::kOpening, Type::kHello, Side::kNode}, State::kGreeted},
    {{State::kGreeted, Type::kWelcome, Side::kCoordinator}, State::kIdle},
    {{State::kIdle, Type::kTask, Side::kCoordinator}, State::kTasked},
    {{State::kTasked, Type::kModelRequest, Side::kNode}, State::kModel},
    {{State::kTasked, Type::kUpdateOffer, Side::kNode}, State::kOffered},
    {{State::kTasked, Type::kDecline, Side::kNode}, State::kOffered},
    {{State::kModel, Type::kModelChunk, Side::kCoordinator}, State::kTasked},
    {{State::kOffered, Type::kAck, Side::kCoordinator}, State::kUpdate},
    {{State::kUpdate, Type::kUpdateChunk, Side::kNode}, State::kDelivered},
    {{State::kDelivered, Type::kAck, Side::kCoordinator}, State::kUpdate},
};

std::optional<State> expected(State state, Type type, Side sender) {
  if (state == State::kClosed) return std::nullopt;
  if (type == Type::kBye) return State::kClosed;
  if (type == Type::kHeartbeat) {
    const bool is_known = state != State::kOpening && state != State::kGreeted;
    return is_known ? std::optional(state) : std::nullopt;
  }
  const auto found = kTable.find({state, type, sender});
  return found == kTable.end() ? std::nullopt : std::optional(found->second);
}

TEST(SessionTest, EveryPairOfAStateAndAMessageIsATransitionOfTheTableOrRefused) {
  int transitions = 0;
  for (std::size_t s = 0; s < kSessionStates; ++s) {
    for (const Message& message : example_messages()) {
      for (const Side sender : kSides) {
        const auto state = static_cast<State>(s);
        const Type type = type_of(message);
        SCOPED_TRACE(std::string(name_of(state)) + ", " + std::string(name_of(type)) + " from " +
                     std::string(name_of(sender)));
        Session session = after(way_to(state));
        ASSERT_EQ(session.state(), state);
        const auto next = expected(state, type, sender);
        EXPECT_EQ(may_send(state, type, sender), next.has_value());
        EXPECT_EQ(session.caps(sender)[static_cast<std::size_t>(type) - 1] != 0, next.has_value());
        if (next) {
          session.accept(sender, message);
          EXPECT_EQ(session.state(), *next);
          ++transitions;
        } else {
          EXPECT_TRUE(contains(thrown_text<WireError>([&] { session.accept(sender, message); }),
                               "may not come"));
          EXPECT_EQ(session.state(), state);
        }
      }
    }
  }
  EXPECT_EQ(transitions, 10 + 2 * 8 + 2 * 6);
}

TEST(SessionTest, CapsAreThoseOfTheTypeAndChunksEndWithTheirTransfer) {
  EXPECT_EQ(after({}).caps(Side::kNode)[0], max_payload_bytes(Type::kHello));
  const auto chunk = static_cast<std::size_t>(Type::kUpdateChunk) - 1;
  EXPECT_EQ(after(way_to(State::kUpdate)).caps(Side::kNode)[chunk], 24U + 5U);
  const auto model = static_cast<std::size_t>(Type::kModelChunk) - 1;
  EXPECT_EQ(after(way_to(State::kModel)).caps(Side::kCoordinator)[model], 24U + 4U);
}

TEST(SessionTest, AWelcomeWithAVersionThatWasNotOfferedIsRefused) {
  Session session;
  session.accept(Side::kNode, Hello{2, 3, ""});
  for (const std::uint16_t version : {std::uint16_t{1}, std::uint16_t{4}}) {
    EXPECT_THROW(session.accept(Side::kCoordinator, Welcome{version, {}, 1, 2}), WireError);
    EXPECT_EQ(session.state(), State::kGreeted);
  }
  session.accept(Side::kCoordinator, Welcome{3, {}, 1, 2});
}

TEST(SessionTest, OtherRunsKeysAndModelsAreRefused) {
  UpdateKey other = example_key();
  other.run[0] ^= 1;
  Session idle = after(way_to(State::kIdle));
  EXPECT_THROW(idle.accept(Side::kCoordinator, Task{other, 0, {}, 1, {1}}), WireError);
  const UpdateKey keys[] = {other,
                            {example_key().run, 5, "edge-1", 1},
                            {example_key().run, 4, "edge-2", 1},
                            {example_key().run, 4, "edge-1", 2}};
  for (const UpdateKey& key : keys) {
    Session tasked = after(way_to(State::kTasked));
    EXPECT_THROW(tasked.accept(Side::kNode, UpdateOffer{key, 5, {}}), WireError);
    EXPECT_THROW(tasked.accept(Side::kNode, Decline{key, ""}), WireError);
    Session offered = after(way_to(State::kOffered));
    EXPECT_THROW(offered.accept(Side::kCoordinator, Ack{key, AckStatus::kApplied, 0, ""}),
                 WireError);
    EXPECT_EQ(offered.state(), State::kOffered);
  }
  Session tasked = after(way_to(State::kTasked));
  EXPECT_THROW(tasked.accept(Side::kNode, ModelRequest{{1}, 0}), WireError);
  EXPECT_THROW(tasked.accept(Side::kNode, ModelRequest{example_digest(), 6}), WireError);
  tasked.accept(Side::kNode, ModelRequest{example_digest(), 5});
}

TEST(SessionTest, ChunksFollowEachOtherToTheEnd) {
  Session session = after(way_to(State::kUpdate));
  session.accept(Side::kNode, UpdateChunk{0, 5, {1, 2}});
  EXPECT_EQ(session.state(), State::kUpdate);
  EXPECT_EQ(session.transferred_bytes(), 2U);
  EXPECT_EQ(session.total_bytes(), 5U);
  const Message wrong[] = {UpdateChunk{0, 5, {1, 2}}, UpdateChunk{1, 5, {1}},
                           UpdateChunk{3, 5, {1}},    UpdateChunk{2, 6, {1}},
                           UpdateChunk{2, 5, {}},     UpdateChunk{2, 5, {1, 2, 3, 4}}};
  for (const Message& chunk : wrong) {
    EXPECT_THROW(session.accept(Side::kNode, chunk), WireError);
    EXPECT_EQ(session.transferred_bytes(), 2U);
  }
  session.accept(Side::kCoordinator, Heartbeat{0});
  session.accept(Side::kNode, UpdateChunk{2, 5, {3, 4, 5}});
  EXPECT_EQ(session.state(), State::kDelivered);
}

TEST(SessionTest, AnUpdateGoesOnWhereTheCoordinatorSays) {
  Session session = after(way_to(State::kOffered));
  const auto ack = [](AckStatus status, std::uint64_t offset) {
    return Ack{example_key(), status, offset, ""};
  };
  EXPECT_THROW(session.accept(Side::kCoordinator, ack(AckStatus::kSendFrom, 5)), WireError);
  session.accept(Side::kCoordinator, ack(AckStatus::kSendFrom, 3));
  EXPECT_THROW(session.accept(Side::kNode, UpdateChunk{0, 5, {1}}), WireError);
  session.accept(Side::kNode, UpdateChunk{3, 5, {4, 5}});
  session.accept(Side::kCoordinator, ack(AckStatus::kSendFrom, 0));  // its digest was wrong
  session.accept(Side::kNode, UpdateChunk{0, 5, {1, 2, 3, 4, 5}});
  session.accept(Side::kCoordinator, ack(AckStatus::kApplied, 0));
  EXPECT_EQ(session.state(), State::kIdle);
  session.accept(Side::kCoordinator, example(Type::kTask));
}

TEST(SessionTest, EveryOtherAckEndsTheTask) {
  for (const State state : {State::kOffered, State::kDelivered}) {
    for (const AckStatus status :
         {AckStatus::kApplied, AckStatus::kDuplicate, AckStatus::kLate, AckStatus::kRefused}) {
      Session session = after(way_to(state));
      session.accept(Side::kCoordinator, Ack{example_key(), status, 0, ""});
      EXPECT_EQ(session.state(), State::kIdle);
    }
  }
}

TEST(SessionTest, WhatWasDeclinedIsNotSent) {
  Session session = after(way_to(State::kTasked));
  session.accept(Side::kNode, example(Type::kDecline));
  EXPECT_THROW(session.accept(Side::kCoordinator, Ack{example_key(), AckStatus::kSendFrom, 0, ""}),
               WireError);
  session.accept(Side::kCoordinator, Ack{example_key(), AckStatus::kRefused, 0, "noted"});
  session.accept(Side::kCoordinator, example(Type::kTask));
  session.accept(Side::kNode, example(Type::kUpdateOffer));
  session.accept(Side::kCoordinator, example(Type::kAck));
  EXPECT_EQ(session.state(), State::kUpdate);
}

TEST(SessionTest, TheModelMayBeAskedForAgain) {
  Session session = after(way_to(State::kModel));
  session.accept(Side::kCoordinator, ModelChunk{2, 6, {3, 4, 5, 6}});
  session.accept(Side::kNode, ModelRequest{example_digest(), 0});
  EXPECT_EQ(session.transferred_bytes(), 0U);
  EXPECT_EQ(session.total_bytes(), 6U);
}

}  // namespace
}  // namespace coppice::session
