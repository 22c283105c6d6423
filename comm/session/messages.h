#pragma once
// What a node and the coordinator say to each other over one connection, as values and as bytes.
// Byte layouts and the order of messages: docs/protocol.md. Pure functions; any thread.
//
// decode() trusts nothing: it throws WireError for bytes that encode() did not make, and every
// length is checked against the bytes at hand before anything is allocated.

#include <array>        // for array
#include <cstdint>      // for uint8_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <variant>      // for variant
#include <vector>       // for vector

#include "comm/session/update_key.h"

namespace coppice::session {

inline constexpr std::uint16_t kProtocolVersion = 1;  // the only one so far
inline constexpr std::size_t kChunkBytes = 65536;     // at most, of a model or an update
inline constexpr std::size_t kMaxTextBytes = 256;     // of a reason, of a program's name
inline constexpr std::size_t kMaxTaskBytes = std::size_t{1} << 20;
// Of a whole model or update; more is refused when it is announced.
inline constexpr std::uint64_t kMaxTransferBytes = std::uint64_t{4} << 30;

enum class MessageType : std::uint16_t {
  kHello = 1,
  kWelcome = 2,
  kTask = 3,
  kModelRequest = 4,
  kModelChunk = 5,
  kUpdateOffer = 6,
  kUpdateChunk = 7,
  kAck = 8,
  kDecline = 9,
  kHeartbeat = 10,
  kBye = 11
};
inline constexpr std::size_t kMessageTypes = 11;
std::string_view name_of(MessageType type);  // "update chunk"; "unknown message" for others

using Sha256Digest = std::array<std::uint8_t, 32>;

// node -> coordinator, first. Who it is says its certificate; a message cannot contradict it.
struct Hello {
  std::uint16_t oldest_version = kProtocolVersion;
  std::uint16_t newest_version = kProtocolVersion;
  std::string program = {};  // "coppice 0.1.0", for logs
  friend bool operator==(const Hello&, const Hello&) = default;
};

// coordinator -> node: the node is enrolled, and this is the run.
struct Welcome {
  std::uint16_t version = kProtocolVersion;  // the one that both speak from here on
  RunId run = {};
  std::uint32_t heartbeat_ms = 0;  // at least one message in this time, from both ends
  std::uint32_t silence_ms = 0;    // after so long without one the connection counts as lost
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

// coordinator -> node: work. `task` is a frame of comm/messages.h (encode_task).
struct Task {
  UpdateKey key = {};
  std::uint32_t deadline_ms = 0;  // from now, by the node's clock; 0: none
  Sha256Digest model = {};        // of the model frame's bytes
  std::uint64_t model_bytes = 0;
  std::vector<std::uint8_t> task = {};
  friend bool operator==(const Task&, const Task&) = default;
};

// node -> coordinator: the task's model from `offset` on. A node that holds it all does not ask.
struct ModelRequest {
  Sha256Digest model = {};
  std::uint64_t offset = 0;
  friend bool operator==(const ModelRequest&, const ModelRequest&) = default;
};

// A piece of a transfer: `bytes` go to `offset` of `total`. Pieces come in order, without gaps.
struct ModelChunk {
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  std::vector<std::uint8_t> bytes = {};
  friend bool operator==(const ModelChunk&, const ModelChunk&) = default;
};

// node -> coordinator: the update is ready; where shall it begin?
struct UpdateOffer {
  UpdateKey key = {};
  std::uint64_t total = 0;
  Sha256Digest update = {};
  friend bool operator==(const UpdateOffer&, const UpdateOffer&) = default;
};

struct UpdateChunk {
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  std::vector<std::uint8_t> bytes = {};
  friend bool operator==(const UpdateChunk&, const UpdateChunk&) = default;
};

enum class AckStatus : std::uint8_t {
  kSendFrom = 1,   // send (again) from `offset` on
  kApplied = 2,    // it counts
  kDuplicate = 3,  // it counted before
  kLate = 4,       // its round is over, or another attempt has its place
  kRefused = 5     // it cannot count: the reason says why
};

// coordinator -> node, on an offer, on an update's last chunk, or on a decline.
struct Ack {
  UpdateKey key = {};
  AckStatus status = AckStatus::kRefused;
  std::uint64_t offset = 0;  // 0 unless kSendFrom
  std::string reason = {};
  friend bool operator==(const Ack&, const Ack&) = default;
};

// node -> coordinator: it cannot do this task.
struct Decline {
  UpdateKey key = {};
  std::string reason = {};
  friend bool operator==(const Decline&, const Decline&) = default;
};

// Both ways, in silence: the count of heartbeats sent before.
struct Heartbeat {
  std::uint64_t count = 0;
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

enum class ByeReason : std::uint16_t {
  kDone = 1,      // the run is over
  kLeaving = 2,   // this end goes, and may come back
  kVersion = 3,   // no version in common
  kProtocol = 4,  // the other end said what it may not
  kRefused = 5    // the certificate has ended or is revoked, or the run has no place
};

// Both ways, last: who has sent it sends and reads nothing more.
struct Bye {
  ByeReason reason = ByeReason::kDone;
  std::string text = {};
  friend bool operator==(const Bye&, const Bye&) = default;
};

// In the order of MessageType.
using Message = std::variant<Hello, Welcome, Task, ModelRequest, ModelChunk, UpdateOffer,
                             UpdateChunk, Ack, Decline, Heartbeat, Bye>;
MessageType type_of(const Message& message);

// The whole frame, header and payload. Throws WireError for a message that decode() would refuse
// (a text that is too long, a chunk outside its total).
std::vector<std::uint8_t> encode(const Message& message);

// The message in the payload of a frame of that type.
Message decode(MessageType type, std::span<const std::uint8_t> payload);

// The longest payload that a message of this type can have; 0 for a type that there is not.
std::uint32_t max_payload_bytes(MessageType type);

}  // namespace coppice::session
