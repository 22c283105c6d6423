#pragma once
// Frames of a session, and the parser that finds them in a stream that arrives in any pieces.
// Little-endian, fixed width:
//   magic "CPS1" (4) | version u16 | type u16 | payload length u32 | CRC-32C of the payload u32 |
//   CRC-32C of the 16 bytes before u32 | payload
// The header has a checksum of its own, so that a damaged length is seen at once and not waited
// for. The checksums are for damage; authenticity is TLS's.

#include <array>     // for array
#include <cstdint>   // for uint8_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "comm/session/messages.h"

namespace coppice::session {

inline constexpr std::size_t kSessionHeaderBytes = 20;

// The longest payload that may come now, for each type (its number less 1); 0: it may not come.
using FrameCaps = std::array<std::uint32_t, kMessageTypes>;

// A frame around `payload`.
std::vector<std::uint8_t> write_frame(MessageType type, std::span<const std::uint8_t> payload);

struct Frame {
  MessageType type = MessageType::kBye;
  std::vector<std::uint8_t> payload = {};
};

// One per connection and direction; one thread. Holds at most one frame, and of that only what has
// arrived: a length is checked against the caps as soon as the header is whole, and memory grows
// with the bytes, not with what the header promises.
class FrameParser {
 public:
  // Takes bytes off the front of `bytes` up to the end of one frame, and returns the frame; or
  // takes all of them and returns nothing, if the frame goes on. `caps` are those at this moment:
  // of a frame whose header came earlier, those of then decided.
  //
  // Throws WireError for what is no frame, a type that may not come, a length above its cap or a
  // wrong checksum. The stream has no next frame then: every later call throws as well.
  std::optional<Frame> next(std::span<const std::uint8_t>& bytes, const FrameCaps& caps);

  // What it holds of a frame that is not whole: a stream that ends while this is not 0 was cut.
  std::size_t buffered_bytes() const { return header_bytes_ + payload_.size(); }
  std::size_t allocated_bytes() const { return payload_.capacity(); }

 private:
  void take_header(std::span<const std::uint8_t>& bytes);
  void check_header(const FrameCaps& caps);
  void take_payload(std::span<const std::uint8_t>& bytes);
  Frame finish();

  std::array<std::uint8_t, kSessionHeaderBytes> header_{};
  std::size_t header_bytes_ = 0;
  MessageType type_ = MessageType::kBye;
  std::uint32_t length_ = 0;  // of the payload; known once the header is whole
  std::uint32_t crc_ = 0;
  std::vector<std::uint8_t> payload_;
  bool is_broken_ = false;
};

}  // namespace coppice::session
