#include "comm/session/session.h"

#include <algorithm>  // for find, min

#include "core/error.h"
#include "core/text.h"

namespace coppice::session {
namespace {

using State = SessionState;
using Type = MessageType;

struct Rule {
  State state;
  Type type;
  Side sender;
  friend bool operator==(const Rule&, const Rule&) = default;
};

// Everything that may be said but heartbeats and byes. docs/protocol.md has the same table.
constexpr Rule kRules[] = {
    {State::kOpening, Type::kHello, Side::kNode},
    {State::kGreeted, Type::kWelcome, Side::kCoordinator},
    {State::kIdle, Type::kTask, Side::kCoordinator},
    {State::kTasked, Type::kModelRequest, Side::kNode},
    {State::kTasked, Type::kUpdateOffer, Side::kNode},
    {State::kTasked, Type::kDecline, Side::kNode},
    {State::kModel, Type::kModelChunk, Side::kCoordinator},
    {State::kOffered, Type::kAck, Side::kCoordinator},
    {State::kUpdate, Type::kUpdateChunk, Side::kNode},
    {State::kDelivered, Type::kAck, Side::kCoordinator},
};

constexpr std::uint32_t kChunkHeader = 24;  // offset, total, length

[[noreturn]] void contradicts(Type type, const std::string& expected) {
  throw WireError(text("session: ", name_of(type), ": expected ", expected));
}

}  // namespace

std::string_view name_of(SessionState state) {
  constexpr std::string_view kNames[] = {"opening", "greeted", "idle",      "tasked", "model",
                                         "offered", "update",  "delivered", "closed"};
  static_assert(std::size(kNames) == kSessionStates);
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view name_of(Side side) { return side == Side::kNode ? "node" : "coordinator"; }

bool may_send(SessionState state, MessageType type, Side sender) {
  if (state == State::kClosed) return false;
  if (type == Type::kBye) return true;
  if (type == Type::kHeartbeat) return state != State::kOpening && state != State::kGreeted;
  const Rule asked{state, type, sender};
  return std::find(std::begin(kRules), std::end(kRules), asked) != std::end(kRules);
}

FrameCaps Session::caps(Side sender) const {
  FrameCaps caps{};
  for (std::size_t i = 0; i < caps.size(); ++i) {
    const auto type = static_cast<Type>(i + 1);
    if (may_send(state_, type, sender)) caps[i] = max_payload_bytes(type);
    // A chunk is no longer than what is left of its transfer.
    if (caps[i] != 0 && (type == Type::kModelChunk || type == Type::kUpdateChunk)) {
      caps[i] = kChunkHeader +
                static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunkBytes, total_ - offset_));
    }
  }
  return caps;
}

void Session::accept(Side sender, const Message& message) {
  const Type type = type_of(message);
  if (!may_send(state_, type, sender)) {
    throw WireError(text("session: ", name_of(type), " from the ", name_of(sender),
                         " may not come while ", name_of(state_)));
  }
  const State next = after(message);  // throws before anything is changed
  remember(message);
  state_ = next;
}

SessionState Session::after(const Message& message) const {
  struct Visitor {
    const Session& session;

    void check_key(Type type, const UpdateKey& key) const {
      if (key != session.task_.key)
        contradicts(type,
                    text("the task's key (", to_text(session.task_.key), "), got ", to_text(key)));
    }

    State operator()(const Hello& /*hello*/) const { return State::kGreeted; }

    State operator()(const Welcome& welcome) const {
      const Hello& hello = session.hello_;
      if (welcome.version < hello.oldest_version || welcome.version > hello.newest_version) {
        contradicts(Type::kWelcome, text("a version from ", hello.oldest_version, " to ",
                                         hello.newest_version, ", got ", welcome.version));
      }
      return State::kIdle;
    }

    State operator()(const Task& task) const {
      if (task.key.run != session.welcome_.run)
        contradicts(Type::kTask, "the run of the welcome, got " + to_text(task.key));
      return State::kTasked;
    }

    State operator()(const ModelRequest& request) const {
      if (request.model != session.task_.model)
        contradicts(Type::kModelRequest, "the task's model, got another");
      if (request.offset >= session.task_.model_bytes) {
        contradicts(Type::kModelRequest,
                    text("an offset below ", session.task_.model_bytes, ", got ", request.offset));
      }
      return State::kModel;
    }

    State operator()(const ModelChunk& chunk) const {
      return session.after_chunk(Type::kModelChunk, chunk.offset, chunk.total, chunk.bytes.size());
    }

    State operator()(const UpdateOffer& offer) const {
      check_key(Type::kUpdateOffer, offer.key);
      return State::kOffered;
    }

    State operator()(const UpdateChunk& chunk) const {
      return session.after_chunk(Type::kUpdateChunk, chunk.offset, chunk.total, chunk.bytes.size());
    }

    State operator()(const Ack& ack) const {
      check_key(Type::kAck, ack.key);
      if (ack.status != AckStatus::kSendFrom) return State::kIdle;
      if (session.is_declined_) contradicts(Type::kAck, "no wish for an update that was declined");
      if (ack.offset >= session.offer_total_) {
        contradicts(Type::kAck,
                    text("an offset below ", session.offer_total_, ", got ", ack.offset));
      }
      return State::kUpdate;
    }

    State operator()(const Decline& decline) const {
      check_key(Type::kDecline, decline.key);
      return State::kOffered;
    }

    State operator()(const Heartbeat& /*heartbeat*/) const { return session.state_; }
    State operator()(const Bye& /*bye*/) const { return State::kClosed; }
  };
  return std::visit(Visitor{*this}, message);
}

SessionState Session::after_chunk(MessageType type, std::uint64_t offset, std::uint64_t total,
                                  std::size_t bytes) const {
  if (total != total_ || offset != offset_ || bytes == 0 || bytes > total_ - offset_) {
    contradicts(type, text("the bytes from ", offset_, " of ", total_, ", got ", bytes, " from ",
                           offset, " of ", total));
  }
  if (offset + bytes < total) return state_;
  return state_ == State::kModel ? State::kTasked : State::kDelivered;
}

void Session::remember(const Message& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) hello_ = *hello;
  if (const auto* welcome = std::get_if<Welcome>(&message)) welcome_ = *welcome;
  if (const auto* task = std::get_if<Task>(&message)) {
    task_ = {task->key, task->deadline_ms, task->model, task->model_bytes};
    is_declined_ = false;
  }
  if (const auto* request = std::get_if<ModelRequest>(&message)) {
    offset_ = request->offset;
    total_ = task_.model_bytes;
  }
  if (const auto* offer = std::get_if<UpdateOffer>(&message)) offer_total_ = offer->total;
  if (std::holds_alternative<Decline>(message)) is_declined_ = true;
  if (const auto* ack = std::get_if<Ack>(&message)) {
    offset_ = ack->offset;
    total_ = offer_total_;
  }
  if (const auto* chunk = std::get_if<ModelChunk>(&message)) offset_ += chunk->bytes.size();
  if (const auto* chunk = std::get_if<UpdateChunk>(&message)) offset_ += chunk->bytes.size();
}

}  // namespace coppice::session
