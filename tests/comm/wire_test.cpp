#include "comm/wire.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "core/digest.h"
#include "core/error.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::string error_of(const auto& action) {
  try {
    action();
  } catch (const WireError& error) {
    return error.what();
  }
  return "";
}

TEST(WireTest, NumbersAreLittleEndianAndFixedWidth) {
  Bytes out;
  WireWriter writer(out);
  writer.u8(0xAB);
  writer.u16(0x1122);
  writer.u32(0x33445566);
  writer.f32(1.0F);
  EXPECT_EQ(out, (Bytes{0xAB, 0x22, 0x11, 0x66, 0x55, 0x44, 0x33, 0x00, 0x00, 0x80, 0x3F}));
}

TEST(WireTest, EverythingReadsBackAsWritten) {
  Bytes out;
  WireWriter writer(out);
  writer.u64(UINT64_MAX);
  writer.i64(INT64_MIN);
  writer.f64(-0.1);
  writer.bytes(Bytes{1, 2, 3});
  writer.text("prüfen");
  writer.floats(std::vector{1.5F, std::numeric_limits<float>::denorm_min()});
  writer.int64s(std::vector<std::int64_t>{-1, 1});
  writer.floats({});
  WireReader reader(out, "test");
  EXPECT_EQ(reader.u64(), UINT64_MAX);
  EXPECT_EQ(reader.i64(), INT64_MIN);
  EXPECT_EQ(reader.f64(), -0.1);
  EXPECT_EQ(reader.bytes(), (Bytes{1, 2, 3}));
  EXPECT_EQ(reader.text(), "prüfen");
  EXPECT_EQ(reader.floats(), (std::vector{1.5F, std::numeric_limits<float>::denorm_min()}));
  EXPECT_EQ(reader.int64s(), (std::vector<std::int64_t>{-1, 1}));
  EXPECT_TRUE(reader.floats().empty());
  EXPECT_NO_THROW(reader.expect_end());
}

TEST(WireTest, TooFewBytesAndBytesLeftAreErrorsThatNameWhatIsRead) {
  const Bytes three{1, 2, 3};
  WireReader reader(three, "ballot");
  EXPECT_EQ(error_of([&] { reader.u32(); }), "ballot: expected 4 more bytes, got 3");
  EXPECT_EQ(reader.u16(), 0x0201);
  EXPECT_EQ(error_of([&] { reader.expect_end(); }), "ballot: expected the end, got 1 more bytes");
}

TEST(WireTest, CountsAreCheckedAgainstTheBytesLeftBeforeAllocation) {
  for (const std::uint64_t count : {std::uint64_t{3}, std::uint64_t{1} << 61, UINT64_MAX}) {
    Bytes out;
    WireWriter(out).u64(count);
    out.resize(out.size() + 8);
    EXPECT_NE(error_of([&] { WireReader(out, "test").floats(); }), "") << count;
    EXPECT_NE(error_of([&] { WireReader(out, "test").int64s(); }), "") << count;
    out.resize(10);
    EXPECT_NE(error_of([&] { WireReader(out, "test").bytes(); }), "") << count;
    EXPECT_NE(error_of([&] { WireReader(out, "test").text(); }), "") << count;
  }
}

TEST(FrameTest, PayloadReadsBackWithoutACopy) {
  Bytes frame;
  write_frame(FrameType::kBallot, Bytes{7, 8}, frame);
  ASSERT_EQ(frame.size(), kFrameHeaderBytes + 2);
  const auto payload = read_frame(FrameType::kBallot, frame);
  EXPECT_EQ(payload.data(), frame.data() + kFrameHeaderBytes);
  EXPECT_EQ(Bytes(payload.begin(), payload.end()), (Bytes{7, 8}));
}

TEST(FrameTest, HeaderIsTheDocumentedOne) {
  Bytes frame;
  write_frame(FrameType::kTask, bytes_of("123456789"), frame);
  const Bytes header(frame.begin(), frame.begin() + 20);
  // CRC-32C of "123456789" is 0xE3069283 (RFC 3720's check value).
  EXPECT_EQ(header, (Bytes{'C', 'P', 'C', '1', 1, 0, 4,    0,    9,    0,
                           0,   0,   0,   0,   0, 0, 0x83, 0x92, 0x06, 0xE3}));
}

TEST(FrameTest, OtherTypeIsRefusedByNumber) {
  Bytes frame;
  write_frame(FrameType::kTask, {}, frame);
  EXPECT_EQ(error_of([&] { read_frame(FrameType::kReport, frame); }),
            "frame: expected type 5, got 4");
}

TEST(FrameTest, EveryTruncationFlipAndTrailingByteIsRefused) {
  Bytes frame;
  write_frame(FrameType::kModel, Bytes{1, 2, 3, 4, 5}, frame);
  for (std::size_t length = 0; length < frame.size(); ++length) {
    EXPECT_NE(error_of([&] { read_frame(FrameType::kModel, std::span(frame).first(length)); }), "")
        << length;
  }
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes flipped = frame;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_NE(error_of([&] { read_frame(FrameType::kModel, flipped); }), "") << bit;
  }
  frame.push_back(0);
  EXPECT_NE(error_of([&] { read_frame(FrameType::kModel, frame); }), "");
}

}  // namespace
}  // namespace coppice
