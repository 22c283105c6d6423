#include "comm/session/frame.h"

#include <gtest/gtest.h>

#include "comm/wire.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/random.h"
#include "tests/comm/session_examples.h"
#include "tests/core/thrown.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace coppice::session {
namespace {

FrameCaps full_caps() {
  FrameCaps caps{};
  for (std::size_t i = 0; i < caps.size(); ++i)
    caps[i] = max_payload_bytes(static_cast<MessageType>(i + 1));
  return caps;
}

Bytes stream_of(const std::vector<Message>& messages) {
  Bytes stream;
  for (const Message& message : messages) {
    const Bytes frame = encode(message);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  return stream;
}

// Feeds `piece` and appends the messages in it.
void feed(FrameParser& parser, std::span<const std::uint8_t> piece, std::vector<Message>& found) {
  while (true) {
    const auto frame = parser.next(piece, full_caps());
    if (!frame) break;
    found.push_back(decode(frame->type, frame->payload));
  }
  EXPECT_TRUE(piece.empty());
}

// The error of feeding all of `bytes`; empty if there is none.
std::string error_of(const Bytes& bytes, const FrameCaps& caps = full_caps()) {
  return thrown_text<WireError>([&] {
    FrameParser parser;
    std::span<const std::uint8_t> left = bytes;
    while (parser.next(left, caps)) {
    }
  });
}

// A header with right checksums, whatever it says, and nothing behind it.
Bytes header_of(std::uint16_t type, std::uint32_t length) {
  Bytes header{'C', 'P', 'S', '1', 1, 0};
  WireWriter writer(header);
  writer.u16(type);
  writer.u32(length);
  writer.u32(0);
  writer.u32(crc32c(header));
  return header;
}

TEST(SessionFrameTest, EveryPlaceToSplitGivesTheSameMessages) {
  const std::vector<Message> messages = example_messages();
  const Bytes stream = stream_of(messages);
  for (std::size_t split = 0; split <= stream.size(); ++split) {
    FrameParser parser;
    std::vector<Message> found;
    feed(parser, std::span(stream).first(split), found);
    feed(parser, std::span(stream).subspan(split), found);
    EXPECT_EQ(found, messages) << split;
    EXPECT_EQ(parser.buffered_bytes(), 0U);
  }
}

TEST(SessionFrameTest, RandomPiecesGiveTheSameMessages) {
  std::vector<Message> messages = example_messages();
  messages.push_back(UpdateChunk{0, kChunkBytes, Bytes(kChunkBytes, 5)});
  messages.push_back(Heartbeat{8});
  const Bytes stream = stream_of(messages);
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomStream random({.seed = seed});
    const std::uint64_t longest = std::uint64_t{1} << random.next_below(17);
    FrameParser parser;
    std::vector<Message> found;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t length =
          std::min<std::size_t>(stream.size() - at, random.next_below(longest + 1));
      feed(parser, std::span(stream).subspan(at, length), found);
      at += length;
    }
    EXPECT_EQ(found, messages) << seed;
  }
}

TEST(SessionFrameTest, AFrameThatIsCutIsNotOver) {
  const Bytes frame = encode(example_messages()[2]);
  for (std::size_t length = 0; length < frame.size(); ++length) {
    FrameParser parser;
    std::span<const std::uint8_t> bytes = std::span(frame).first(length);
    EXPECT_FALSE(parser.next(bytes, full_caps()));
    EXPECT_EQ(parser.buffered_bytes(), length);
  }
}

TEST(SessionFrameTest, EveryFlippedBitIsRefused) {
  for (const Message& message : example_messages()) {
    const Bytes frame = encode(message);
    for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
      Bytes flipped = frame;
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
      EXPECT_NE(error_of(flipped), "") << name_of(type_of(message)) << " bit " << bit;
    }
  }
}

TEST(SessionFrameTest, WhatMayNotComeAndWhatIsTooLongIsRefusedByItsHeader) {
  for (std::size_t i = 0; i < kMessageTypes; ++i) {
    const auto type = static_cast<MessageType>(i + 1);
    FrameCaps caps{};
    EXPECT_TRUE(contains(error_of(header_of(static_cast<std::uint16_t>(i + 1), 0), caps),
                         "may not come now"));
    caps[i] = 100;
    EXPECT_EQ(error_of(header_of(static_cast<std::uint16_t>(i + 1), 100), caps), "");
    EXPECT_TRUE(contains(error_of(header_of(static_cast<std::uint16_t>(i + 1), 101), caps),
                         "expected at most 100 bytes of payload, got 101"))
        << name_of(type);
  }
  EXPECT_TRUE(contains(error_of(header_of(0, 0)), "expected a type from 1 to 11, got 0"));
  EXPECT_TRUE(contains(error_of(header_of(12, 0)), "got 12"));
  EXPECT_TRUE(contains(error_of(header_of(1, UINT32_MAX)), "got 4294967295"));
  EXPECT_TRUE(contains(error_of(Bytes(20, 'x')), "expected magic 43505331"));
}

TEST(SessionFrameTest, MemoryFollowsTheBytesThatCameAndNotThePromise) {
  const auto type = static_cast<std::uint16_t>(MessageType::kTask);
  const Bytes header = header_of(type, kMaxTaskBytes);
  FrameParser parser;
  std::span<const std::uint8_t> bytes = header;
  EXPECT_FALSE(parser.next(bytes, full_caps()));
  EXPECT_EQ(parser.allocated_bytes(), 0U);
  const Bytes piece(1000);
  for (std::size_t i = 1; i <= 100; ++i) {
    bytes = piece;
    EXPECT_FALSE(parser.next(bytes, full_caps()));
    EXPECT_EQ(parser.buffered_bytes(), kSessionHeaderBytes + 1000 * i);
    EXPECT_LE(parser.allocated_bytes(), 2000 * i);
  }
  const Bytes rest(2 * kMaxTaskBytes);
  bytes = rest;
  EXPECT_THROW(parser.next(bytes, full_caps()), WireError) << "the checksum is wrong";
  EXPECT_EQ(rest.size() - bytes.size(), kMaxTaskBytes - 100'000) << "it took what is its own";
  EXPECT_EQ(parser.allocated_bytes(), 0U);
}

TEST(SessionFrameTest, NothingFollowsABrokenFrame) {
  FrameParser parser;
  Bytes bad = encode(Heartbeat{1});
  bad[21] ^= 1;
  std::span<const std::uint8_t> bytes = bad;
  EXPECT_THROW(parser.next(bytes, full_caps()), WireError);
  const Bytes good = encode(Heartbeat{1});
  bytes = good;
  EXPECT_TRUE(contains(thrown_text<WireError>([&] { parser.next(bytes, full_caps()); }), "broken"));
  EXPECT_EQ(bytes.size(), good.size());
}

// The libFuzzer target's own checks, on a few thousand damaged streams.
TEST(SessionFrameTest, TheFuzzTargetHoldsOnDamagedStreams) {
  const Bytes stream = stream_of(example_messages());
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    RandomStream random({.seed = seed});
    Bytes damaged(1, static_cast<std::uint8_t>(seed));
    damaged.insert(damaged.end(), stream.begin(), stream.end());
    for (std::uint64_t i = random.next_below(4); i > 0; --i)
      damaged[random.next_below(damaged.size())] = static_cast<std::uint8_t>(random.next_u32());
    damaged.resize(1 + random.next_below(damaged.size()));
    EXPECT_EQ(LLVMFuzzerTestOneInput(damaged.data(), damaged.size()), 0);
  }
}

}  // namespace
}  // namespace coppice::session
