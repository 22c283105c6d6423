#include "comm/session/messages.h"

#include <algorithm>  // for copy_n

#include "comm/session/frame.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/node_id.h"
#include "core/text.h"

namespace coppice::session {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kLength = 8;  // of a text or of bytes, before them
constexpr std::uint32_t kKey = 16 + 8 + kLength + kMaxNodeIdBytes + 4;
constexpr std::uint32_t kDigest = 32;
constexpr std::uint32_t kText = kLength + kMaxTextBytes;
constexpr std::uint32_t kChunk = 8 + 8 + kLength + kChunkBytes;

struct TypeInfo {
  std::string_view name;
  std::uint32_t max_payload_bytes;
};
// In the order of MessageType, from 1.
constexpr TypeInfo kTypes[] = {{"hello", 2 + 2 + kText},
                               {"welcome", 2 + 16 + 4 + 4},
                               {"task", kKey + 4 + kDigest + 8 + kLength + kMaxTaskBytes},
                               {"model request", kDigest + 8},
                               {"model chunk", kChunk},
                               {"update offer", kKey + 8 + kDigest},
                               {"update chunk", kChunk},
                               {"ack", kKey + 1 + 8 + kText},
                               {"decline", kKey + kText},
                               {"heartbeat", 8},
                               {"bye", 2 + kText}};
static_assert(std::size(kTypes) == kMessageTypes);

const TypeInfo* info_of(MessageType type) {
  const auto number = static_cast<std::size_t>(type);
  return number >= 1 && number <= kMessageTypes ? &kTypes[number - 1] : nullptr;
}

[[noreturn]] void refuse(std::string_view message, std::string_view what, std::uint64_t expected,
                         std::uint64_t got) {
  throw WireError(text(message, ": expected ", what, " ", expected, ", got ", got));
}

// ---- values that many messages have

void put(WireWriter& out, std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) out.u8(byte);
}

template <std::size_t kSize>
std::array<std::uint8_t, kSize> fixed(WireReader& in) {
  std::array<std::uint8_t, kSize> value{};
  std::copy_n(in.raw(kSize).begin(), kSize, value.begin());
  return value;
}

void put(WireWriter& out, const UpdateKey& key) {
  put(out, key.run);
  out.i64(key.round);
  out.text(key.node);
  out.u32(key.attempt);
}

UpdateKey key(WireReader& in) {
  UpdateKey key{fixed<16>(in), in.i64(), in.text(), 0};
  key.attempt = in.u32();
  return key;
}

void check(const UpdateKey& key) {
  if (!is_node_id(key.node)) {
    throw WireError(
        text("key: expected the name of a node, got ", key.node.size(), " bytes that are none"));
  }
  if (key.round < 0 || key.attempt == 0)
    throw WireError(text("key: expected a round from 0 and an attempt from 1, got ", key.round,
                         " and ", key.attempt));
}

// Texts of the other end reach logs: printable ASCII only.
void check_text(std::string_view message, const std::string& value) {
  if (value.size() > kMaxTextBytes)
    refuse(message, "a text of bytes up to", kMaxTextBytes, value.size());
  for (const char c : value) {
    if (c < ' ' || c > '~') throw WireError(text(message, ": expected a text of printable ASCII"));
  }
}

void check_total(std::string_view message, std::uint64_t total) {
  if (total == 0 || total > kMaxTransferBytes)
    refuse(message, "a total from 1 to", kMaxTransferBytes, total);
}

void check_chunk(std::string_view message, std::uint64_t offset, std::uint64_t total,
                 std::size_t bytes) {
  check_total(message, total);
  if (bytes == 0 || bytes > kChunkBytes) refuse(message, "bytes from 1 to", kChunkBytes, bytes);
  if (offset >= total || bytes > total - offset)
    refuse(message, text("a piece at ", offset, " that ends at most at"), total, offset + bytes);
}

// ---- each message: its bytes, its value, and what it may hold

void write(WireWriter& out, const Hello& hello) {
  out.u16(hello.oldest_version);
  out.u16(hello.newest_version);
  out.text(hello.program);
}
void write(WireWriter& out, const Welcome& welcome) {
  out.u16(welcome.version);
  put(out, welcome.run);
  out.u32(welcome.heartbeat_ms);
  out.u32(welcome.silence_ms);
}
void write(WireWriter& out, const Task& task) {
  put(out, task.key);
  out.u32(task.deadline_ms);
  put(out, task.model);
  out.u64(task.model_bytes);
  out.bytes(task.task);
}
void write(WireWriter& out, const ModelRequest& request) {
  put(out, request.model);
  out.u64(request.offset);
}
template <typename Chunk>
void write_chunk(WireWriter& out, const Chunk& chunk) {
  out.u64(chunk.offset);
  out.u64(chunk.total);
  out.bytes(chunk.bytes);
}
void write(WireWriter& out, const ModelChunk& chunk) { write_chunk(out, chunk); }
void write(WireWriter& out, const UpdateChunk& chunk) { write_chunk(out, chunk); }
void write(WireWriter& out, const UpdateOffer& offer) {
  put(out, offer.key);
  out.u64(offer.total);
  put(out, offer.update);
}
void write(WireWriter& out, const Ack& ack) {
  put(out, ack.key);
  out.u8(static_cast<std::uint8_t>(ack.status));
  out.u64(ack.offset);
  out.text(ack.reason);
}
void write(WireWriter& out, const Decline& decline) {
  put(out, decline.key);
  out.text(decline.reason);
}
void write(WireWriter& out, const Heartbeat& heartbeat) { out.u64(heartbeat.count); }
void write(WireWriter& out, const Bye& bye) {
  out.u16(static_cast<std::uint16_t>(bye.reason));
  out.text(bye.text);
}

template <typename Chunk>
Chunk read_chunk(WireReader& in) {
  Chunk chunk;
  chunk.offset = in.u64();
  chunk.total = in.u64();
  chunk.bytes = in.bytes();
  return chunk;
}

Message read(MessageType type, WireReader& in) {
  switch (type) {
    case MessageType::kHello: {
      Hello hello{in.u16(), in.u16(), in.text()};
      return hello;
    }
    case MessageType::kWelcome: {
      Welcome welcome{in.u16(), fixed<16>(in), in.u32(), in.u32()};
      return welcome;
    }
    case MessageType::kTask: {
      Task task{key(in), in.u32(), fixed<32>(in), in.u64(), in.bytes()};
      return task;
    }
    case MessageType::kModelRequest: {
      ModelRequest request{fixed<32>(in), in.u64()};
      return request;
    }
    case MessageType::kModelChunk:
      return read_chunk<ModelChunk>(in);
    case MessageType::kUpdateOffer: {
      UpdateOffer offer{key(in), in.u64(), fixed<32>(in)};
      return offer;
    }
    case MessageType::kUpdateChunk:
      return read_chunk<UpdateChunk>(in);
    case MessageType::kAck: {
      Ack ack{key(in), static_cast<AckStatus>(in.u8()), in.u64(), in.text()};
      return ack;
    }
    case MessageType::kDecline: {
      Decline decline{key(in), in.text()};
      return decline;
    }
    case MessageType::kHeartbeat:
      return Heartbeat{in.u64()};
    case MessageType::kBye: {
      Bye bye{static_cast<ByeReason>(in.u16()), in.text()};
      return bye;
    }
  }
  throw WireError(
      text("message: expected a type from 1 to ", kMessageTypes, ", got ", static_cast<int>(type)));
}

struct Check {
  void operator()(const Hello& hello) const {
    if (hello.oldest_version == 0 || hello.oldest_version > hello.newest_version)
      refuse("hello", "versions from 1 to at most", hello.newest_version, hello.oldest_version);
    check_text("hello", hello.program);
  }
  void operator()(const Welcome& welcome) const {
    if (welcome.version == 0) refuse("welcome", "a version from", 1, 0);
    if (welcome.heartbeat_ms == 0 || welcome.silence_ms <= welcome.heartbeat_ms)
      refuse("welcome", "more ms of silence than between heartbeats, which are",
             welcome.heartbeat_ms, welcome.silence_ms);
  }
  void operator()(const Task& task) const {
    check(task.key);
    check_total("task", task.model_bytes);
    if (task.task.empty() || task.task.size() > kMaxTaskBytes)
      refuse("task", "bytes from 1 to", kMaxTaskBytes, task.task.size());
  }
  void operator()(const ModelRequest& request) const {
    if (request.offset >= kMaxTransferBytes)
      refuse("model request", "an offset below", kMaxTransferBytes, request.offset);
  }
  void operator()(const ModelChunk& chunk) const {
    check_chunk("model chunk", chunk.offset, chunk.total, chunk.bytes.size());
  }
  void operator()(const UpdateOffer& offer) const {
    check(offer.key);
    check_total("update offer", offer.total);
  }
  void operator()(const UpdateChunk& chunk) const {
    check_chunk("update chunk", chunk.offset, chunk.total, chunk.bytes.size());
  }
  void operator()(const Ack& ack) const {
    check(ack.key);
    const auto status = static_cast<std::uint8_t>(ack.status);
    if (status < 1 || status > 5) refuse("ack", "a status from 1 to", 5, status);
    if (ack.status != AckStatus::kSendFrom && ack.offset != 0)
      refuse("ack", "without a transfer the offset", 0, ack.offset);
    check_text("ack", ack.reason);
  }
  void operator()(const Decline& decline) const {
    check(decline.key);
    check_text("decline", decline.reason);
  }
  void operator()(const Heartbeat& /*heartbeat*/) const {}
  void operator()(const Bye& bye) const {
    const auto reason = static_cast<std::uint16_t>(bye.reason);
    if (reason < 1 || reason > 5) refuse("bye", "a reason from 1 to", 5, reason);
    check_text("bye", bye.text);
  }
};

}  // namespace

std::string_view name_of(MessageType type) {
  const TypeInfo* info = info_of(type);
  return info != nullptr ? info->name : "unknown message";
}

std::uint32_t max_payload_bytes(MessageType type) {
  const TypeInfo* info = info_of(type);
  return info != nullptr ? info->max_payload_bytes : 0;
}

MessageType type_of(const Message& message) {
  return static_cast<MessageType>(message.index() + 1);
}

std::vector<std::uint8_t> encode(const Message& message) {
  std::visit(Check{}, message);
  Bytes payload;
  WireWriter out(payload);
  std::visit([&](const auto& value) { write(out, value); }, message);
  return write_frame(type_of(message), payload);
}

Message decode(MessageType type, std::span<const std::uint8_t> payload) {
  if (payload.size() > max_payload_bytes(type)) {
    refuse(name_of(type), "a payload of bytes up to", max_payload_bytes(type), payload.size());
  }
  WireReader in(payload, std::string(name_of(type)));
  Message message = read(type, in);
  in.expect_end();
  std::visit(Check{}, message);
  return message;
}

}  // namespace coppice::session
