#include "comm/session/frame.h"

#include <algorithm>  // for copy_n, equal, max, min
#include <utility>    // for exchange

#include "comm/wire.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice::session {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{'C', 'P', 'S', '1'};
constexpr std::uint16_t kFrameVersion = 1;
constexpr std::size_t kHeaderChecked = 16;  // bytes before the header's own checksum

template <typename Value>
void expect(std::string_view what, Value expected, Value got) {
  if (got != expected)
    throw WireError(text("session frame: expected ", what, " ", expected, ", got ", got));
}

// Takes at most `count` bytes off the front.
std::span<const std::uint8_t> take(std::span<const std::uint8_t>& bytes, std::size_t count) {
  const auto taken = bytes.first(std::min(count, bytes.size()));
  bytes = bytes.subspan(taken.size());
  return taken;
}

}  // namespace

std::vector<std::uint8_t> write_frame(MessageType type, std::span<const std::uint8_t> payload) {
  std::vector<std::uint8_t> out(kMagic.begin(), kMagic.end());
  out.reserve(kSessionHeaderBytes + payload.size());
  WireWriter writer(out);
  writer.u16(kFrameVersion);
  writer.u16(static_cast<std::uint16_t>(type));
  writer.u32(static_cast<std::uint32_t>(payload.size()));
  writer.u32(crc32c(payload));
  writer.u32(crc32c(out));
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

std::optional<Frame> FrameParser::next(std::span<const std::uint8_t>& bytes,
                                       const FrameCaps& caps) {
  if (is_broken_)
    throw WireError("session frame: expected nothing more on a stream that is broken");
  try {
    if (header_bytes_ < kSessionHeaderBytes) {
      take_header(bytes);
      if (header_bytes_ < kSessionHeaderBytes) return std::nullopt;
      check_header(caps);
    }
    take_payload(bytes);
    if (payload_.size() < length_) return std::nullopt;
    return finish();
  } catch (...) {
    is_broken_ = true;
    payload_ = std::vector<std::uint8_t>();
    throw;
  }
}

void FrameParser::take_header(std::span<const std::uint8_t>& bytes) {
  const auto taken = take(bytes, kSessionHeaderBytes - header_bytes_);
  std::copy_n(taken.begin(), taken.size(), header_.begin() + header_bytes_);
  header_bytes_ += taken.size();
}

void FrameParser::check_header(const FrameCaps& caps) {
  WireReader reader(header_, "session frame");
  const auto magic = reader.raw(kMagic.size());
  if (!std::equal(kMagic.begin(), kMagic.end(), magic.begin()))
    throw WireError(text("session frame: expected magic ", hex(kMagic), ", got ", hex(magic)));
  const std::uint16_t version = reader.u16();
  const std::uint16_t type = reader.u16();
  length_ = reader.u32();
  crc_ = reader.u32();
  expect("a header with CRC-32C", crc32c(std::span(header_).first(kHeaderChecked)), reader.u32());
  expect("version", kFrameVersion, version);
  if (type < 1 || type > kMessageTypes)
    throw WireError(
        text("session frame: expected a type from 1 to ", kMessageTypes, ", got ", type));
  type_ = static_cast<MessageType>(type);
  const std::uint32_t cap = caps[type - 1U];
  if (cap == 0) throw WireError(text("session frame: ", name_of(type_), " may not come now"));
  if (length_ > cap) {
    throw WireError(text("session frame: ", name_of(type_), ": expected at most ", cap,
                         " bytes of payload, got ", length_));
  }
}

void FrameParser::take_payload(std::span<const std::uint8_t>& bytes) {
  const auto taken = take(bytes, length_ - payload_.size());
  const std::size_t needed = payload_.size() + taken.size();
  // Doubling, but never beyond the frame: what is promised is not yet there.
  if (needed > payload_.capacity())
    payload_.reserve(std::min<std::size_t>(length_, std::max(needed, 2 * payload_.capacity())));
  payload_.insert(payload_.end(), taken.begin(), taken.end());
}

Frame FrameParser::finish() {
  expect("a payload with CRC-32C", crc_, crc32c(payload_));
  Frame frame{type_, std::exchange(payload_, std::vector<std::uint8_t>())};
  header_bytes_ = 0;
  return frame;
}

}  // namespace coppice::session
