#include "comm/session/messages.h"

#include <gtest/gtest.h>

#include "comm/session/frame.h"
#include "core/error.h"
#include "tests/comm/session_examples.h"
#include "tests/core/thrown.h"

namespace coppice::session {
namespace {

Message decode_frame(const Bytes& frame) {
  FrameCaps caps;
  caps.fill(UINT32_MAX);
  std::span<const std::uint8_t> bytes = frame;
  const auto found = FrameParser().next(bytes, caps);
  return decode(found.value().type, found->payload);
}

TEST(SessionMessageTest, EveryMessageReadsBack) {
  for (const Message& message : example_messages()) {
    EXPECT_EQ(decode_frame(encode(message)), message) << name_of(type_of(message));
  }
  EXPECT_EQ(example_messages().size(), kMessageTypes);
}

TEST(SessionMessageTest, TypesAreNumberedAsTheDocumentSays) {
  EXPECT_EQ(type_of(Hello{}), MessageType::kHello);
  EXPECT_EQ(type_of(UpdateChunk{}), MessageType::kUpdateChunk);
  EXPECT_EQ(type_of(Bye{}), MessageType::kBye);
  EXPECT_EQ(name_of(MessageType::kAck), "ack");
  EXPECT_EQ(name_of(static_cast<MessageType>(0)), "unknown message");
  EXPECT_EQ(max_payload_bytes(static_cast<MessageType>(12)), 0U);
}

TEST(SessionMessageTest, TheLongestMessagesFitTheirCaps) {
  const UpdateKey key{RunId{}, INT64_MAX, std::string(64, 'n'), UINT32_MAX};
  const std::string longest(kMaxTextBytes, 't');
  const Message messages[] = {Hello{1, 9, longest},
                              Task{key, 1, {}, kMaxTransferBytes, Bytes(kMaxTaskBytes)},
                              ModelChunk{0, kChunkBytes, Bytes(kChunkBytes)},
                              UpdateOffer{key, kMaxTransferBytes, {}},
                              UpdateChunk{0, kChunkBytes, Bytes(kChunkBytes)},
                              Ack{key, AckStatus::kRefused, 0, longest},
                              Decline{key, longest},
                              Bye{ByeReason::kDone, longest}};
  for (const Message& message : messages) {
    const Bytes frame = encode(message);
    EXPECT_EQ(frame.size() - kSessionHeaderBytes, max_payload_bytes(type_of(message)))
        << name_of(type_of(message));
    EXPECT_EQ(decode_frame(frame), message);
  }
}

TEST(SessionMessageTest, LayoutsAreThoseOfTheDocument) {
  const Bytes heartbeat = encode(Heartbeat{0x0102});
  EXPECT_EQ(Bytes(heartbeat.begin(), heartbeat.begin() + 12),
            (Bytes{'C', 'P', 'S', '1', 1, 0, 10, 0, 8, 0, 0, 0}));
  EXPECT_EQ(Bytes(heartbeat.begin() + 20, heartbeat.end()), (Bytes{2, 1, 0, 0, 0, 0, 0, 0}));
  const Bytes bye = encode(Bye{ByeReason::kLeaving, "x"});
  EXPECT_EQ(Bytes(bye.begin() + 20, bye.end()), (Bytes{2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'x'}));
  const Bytes chunk = encode(UpdateChunk{3, 5, {7, 8}});
  EXPECT_EQ(Bytes(chunk.begin() + 20, chunk.end()),
            (Bytes{3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 8}));
}

TEST(SessionMessageTest, ValuesOutsideTheirBoundsAreRefusedOnBothEnds) {
  const UpdateKey key = example_key();
  UpdateKey nameless = key;
  nameless.node = "../x";
  UpdateKey attemptless = key;
  attemptless.attempt = 0;
  UpdateKey roundless = key;
  roundless.round = -1;
  const Message messages[] = {Hello{0, 1, ""},
                              Hello{2, 1, ""},
                              Hello{1, 1, std::string(257, 'x')},
                              Hello{1, 1, "line\nbreak"},
                              Welcome{0, {}, 1, 2},
                              Welcome{1, {}, 0, 2},
                              Welcome{1, {}, 2, 2},
                              Task{key, 0, {}, 1, {}},
                              Task{key, 0, {}, 0, {1}},
                              Task{key, 0, {}, kMaxTransferBytes + 1, {1}},
                              Task{key, 0, {}, 1, Bytes(kMaxTaskBytes + 1)},
                              Task{nameless, 0, {}, 1, {1}},
                              ModelRequest{{}, kMaxTransferBytes},
                              ModelChunk{0, 0, {1}},
                              ModelChunk{0, 1, {}},
                              ModelChunk{1, 1, {1}},
                              ModelChunk{0, 1, {1, 2}},
                              ModelChunk{UINT64_MAX, 2, {1, 2}},
                              UpdateChunk{0, kMaxTransferBytes + 1, {1}},
                              UpdateChunk{0, kChunkBytes + 1, Bytes(kChunkBytes + 1)},
                              UpdateOffer{attemptless, 1, {}},
                              UpdateOffer{key, 0, {}},
                              Ack{key, static_cast<AckStatus>(0), 0, ""},
                              Ack{key, static_cast<AckStatus>(6), 0, ""},
                              Ack{key, AckStatus::kApplied, 1, ""},
                              Ack{roundless, AckStatus::kApplied, 0, ""},
                              Decline{key, std::string(257, 'x')},
                              Bye{static_cast<ByeReason>(0), ""},
                              Bye{ByeReason::kDone, "\x1b[2J"}};
  for (std::size_t i = 0; i < std::size(messages); ++i)
    EXPECT_THROW(encode(messages[i]), WireError) << i;
  // The same bounds hold for bytes: a heartbeat's payload, damaged into other messages'.
  EXPECT_THROW(decode(MessageType::kHello, Bytes{2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), WireError);
  EXPECT_THROW(decode(MessageType::kBye, Bytes{6, 0, 0, 0, 0, 0, 0, 0, 0, 0}), WireError);
  EXPECT_THROW(decode(static_cast<MessageType>(12), Bytes{}), WireError);
}

TEST(SessionMessageTest, EveryTruncationAndEveryByteTooManyIsRefused) {
  for (const Message& message : example_messages()) {
    const Bytes frame = encode(message);
    Bytes payload(frame.begin() + kSessionHeaderBytes, frame.end());
    const MessageType type = type_of(message);
    for (std::size_t length = 0; length < payload.size(); ++length)
      EXPECT_THROW(decode(type, std::span(payload).first(length)), WireError) << name_of(type);
    payload.push_back(0);
    EXPECT_THROW(decode(type, payload), WireError) << name_of(type);
  }
}

// Of payloads alone, whose checksum somebody made anew: refused, or a message that is written back
// as the same bytes.
TEST(SessionMessageTest, EveryFlippedBitIsRefusedOrReadsAsWhatItSays) {
  for (const Message& message : example_messages()) {
    const Bytes frame = encode(message);
    const Bytes payload(frame.begin() + kSessionHeaderBytes, frame.end());
    for (std::size_t bit = 0; bit < 8 * payload.size(); ++bit) {
      Bytes flipped = payload;
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
      try {
        const Bytes again = encode(decode(type_of(message), flipped));
        EXPECT_EQ(Bytes(again.begin() + kSessionHeaderBytes, again.end()), flipped);
      } catch (const WireError&) {
      }
    }
  }
}

}  // namespace
}  // namespace coppice::session
