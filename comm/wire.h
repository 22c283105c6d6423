#pragma once
// Frames: what every message between a client and the coordinator is wrapped in. Little-endian,
// fixed width:
//   magic "CPC1" (4) | version u16 | type u16 | payload length u64 | CRC-32C of the payload u32 |
//   payload
// Lengths are checked against the bytes at hand before anything is allocated or read.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <string>   // for string
#include <utility>  // for move
#include <vector>   // for vector

namespace coppice {

enum class FrameType : std::uint16_t {
  kDenseUpdate = 1,
  kInt8Update = 2,
  kModel = 3,
  kTask = 4,
  kReport = 5,
  kBallot = 6,
  kHistograms = 7,
  kInt4Update = 8,
  kTopKUpdate = 9,
  kRotatedUpdate = 10,
  kSensitivities = 11,
  kQsgdUpdate = 12,
  kDadaquantUpdate = 13,
  kStcUpdate = 14,
  kResiduals = 15,
  kModelDelta = 16,
  kAnswer = 17,
  kEdgeStep = 18,
  kDataFacts = 19,
  kDataQuestion = 20
};

inline constexpr std::size_t kFrameHeaderBytes = 20;

// Appends little-endian values to a byte vector, and writes frames.
class WireWriter {
 public:
  explicit WireWriter(std::vector<std::uint8_t>& out) : out_(&out) {}

  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void i64(std::int64_t value);
  void f32(float value);
  void f64(double value);
  void bytes(std::span<const std::uint8_t> value);    // u64 length, then the bytes
  void text(const std::string& value);                // the same
  void floats(std::span<const float> values);         // u64 count, then 4 bytes each
  void int64s(std::span<const std::int64_t> values);  // u64 count, then 8 bytes each

 private:
  std::vector<std::uint8_t>* out_;
};

// Reads them back. Every call throws WireError if the bytes at hand are too few, naming `what` is
// being read.
class WireReader {
 public:
  WireReader(std::span<const std::uint8_t> in, std::string what)
      : in_(in), what_(std::move(what)) {}

  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  std::int64_t i64();
  float f32();
  double f64();
  std::vector<std::uint8_t> bytes();
  std::string text();
  std::vector<float> floats();
  std::vector<std::int64_t> int64s();
  std::span<const std::uint8_t> raw(std::size_t count);
  void expect_end() const;  // throws WireError if bytes are left

  std::size_t left() const { return in_.size(); }

 private:
  std::span<const std::uint8_t> take(std::size_t count);
  // A count of items of `item_bytes` each, checked against the bytes that are left.
  std::size_t count_of(std::size_t item_bytes);

  std::span<const std::uint8_t> in_;
  std::string what_;
};

// A frame written in place: begin_frame() empties `out` and leaves room for the header, the caller
// appends the payload (WireWriter), finish_frame() fills the header in.
void begin_frame(std::vector<std::uint8_t>& out);
void finish_frame(FrameType type, std::vector<std::uint8_t>& out);

// Replaces `out` by a frame around `payload`, which must not lie in `out`.
void write_frame(FrameType type, std::span<const std::uint8_t> payload,
                 std::vector<std::uint8_t>& out);

// The payload of the only frame in `bytes`, a view into them. Throws WireError if the frame is not
// intact, is of another type or version, or is followed by anything.
std::span<const std::uint8_t> read_frame(FrameType expected, std::span<const std::uint8_t> bytes);

}  // namespace coppice
