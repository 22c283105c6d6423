// libFuzzer target of a session's frames, messages and state machine; also run on a few thousand
// damaged streams by tests/comm/session_frame_test.cpp. From the root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -fsanitize=fuzzer,address,undefined tests/fuzz/session_fuzz.cpp
//     comm/session/*.cpp comm/wire.cpp core/crc32c.cpp core/digest.cpp core/error.cpp
//     core/node_id.cpp core/text.cpp -o /tmp/session_fuzz
//   /tmp/session_fuzz -max_len=4096
// No corpus is needed. The first byte says into what pieces the rest is cut and whether its
// checksums are made anew, which a fuzzer does not find by itself.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/session/session.h"
#include "comm/wire.h"
#include "core/digest.h"
#include "core/error.h"

namespace coppice::session {
namespace {

using Bytes = std::vector<std::uint8_t>;

void expect(bool is_so) {
  if (!is_so) __builtin_trap();
}

// As many frames as the bytes give: a type, a sender and a length, then the payload.
struct Stream {
  std::vector<Side> senders;
  std::vector<Bytes> frames;
};

Stream frames_from(std::span<const std::uint8_t> bytes) {
  Stream stream;
  while (bytes.size() >= 3) {
    const std::size_t length =
        std::min<std::size_t>(bytes[1] + 256U * (bytes[2] & 3U), bytes.size() - 3);
    const auto type = static_cast<MessageType>(1 + bytes[0] % kMessageTypes);
    stream.senders.push_back(bytes[0] >= 128 ? Side::kNode : Side::kCoordinator);
    stream.frames.push_back(write_frame(type, bytes.subspan(3, length)));
    bytes = bytes.subspan(3 + length);
  }
  return stream;
}

// The parser never holds more than the largest cap, and what is read is written as it was read.
void read(FrameParser& parser, Session& session, Side sender, std::span<const std::uint8_t> bytes,
          std::size_t piece) {
  while (!bytes.empty()) {
    auto part = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(part.size());
    while (true) {
      const FrameCaps caps = session.caps(sender);
      const auto frame = parser.next(part, caps);
      const std::uint32_t largest = *std::max_element(caps.begin(), caps.end());
      expect(parser.allocated_bytes() <= largest);
      if (!frame) break;
      expect(frame->payload.size() <= caps[static_cast<std::size_t>(frame->type) - 1]);
      const Message message = decode(frame->type, frame->payload);
      expect(encode(message) == write_frame(frame->type, frame->payload));
      session.accept(sender, message);
      expect(session.transferred_bytes() <= session.total_bytes());
    }
  }
}

void run(std::span<const std::uint8_t> input) {
  const std::size_t piece = 1 + input[0] % 64U;
  Session session;
  FrameParser node;
  if (input[0] < 128) {  // bytes as they are, all from the node
    read(node, session, Side::kNode, input.subspan(1), piece);
    return;
  }
  FrameParser coordinator;
  const Stream stream = frames_from(input.subspan(1));
  for (std::size_t i = 0; i < stream.frames.size(); ++i) {
    const Side sender = stream.senders[i];
    read(sender == Side::kNode ? node : coordinator, session, sender, stream.frames[i], piece);
  }
}

}  // namespace
}  // namespace coppice::session

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  try {
    coppice::session::run({bytes, size});
  } catch (const coppice::WireError&) {
  }
  return 0;
}
