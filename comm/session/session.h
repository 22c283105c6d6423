#pragma once
// The order in which a node and the coordinator may speak: a small state machine that both ends
// keep, fed with every message that is sent and every one that arrives. Pure: no sockets, no clock,
// no files. One thread.
//
//   opening --hello--> greeted --welcome--> idle
//   idle --task--> tasked --model request--> model --last chunk--> tasked
//   tasked --offer or decline--> offered --ack: send--> update --last chunk--> delivered
//   offered, delivered --ack: anything else--> idle;  delivered --ack: send--> update
//   any --bye--> closed
// Heartbeats may come from both ends once the node is greeted. All other pairs of a state and a
// message are refused. A node that reconnects begins at opening: offers and model requests carry
// where they go on, so nothing of a session outlives it but the bytes.

#include <cstdint>      // for uint8_t
#include <string_view>  // for string_view

#include "comm/session/frame.h"
#include "comm/session/messages.h"

namespace coppice::session {

enum class Side : std::uint8_t { kCoordinator, kNode };  // who sends a message

enum class SessionState : std::uint8_t {
  kOpening,    // connected; nothing was said
  kGreeted,    // the node said hello
  kIdle,       // enrolled, without work
  kTasked,     // the node has work
  kModel,      // the model is on its way to the node
  kOffered,    // the node has answered, and waits for what the coordinator says
  kUpdate,     // the update is on its way to the coordinator
  kDelivered,  // all of it is there
  kClosed      // one end said bye
};
inline constexpr std::size_t kSessionStates = 9;
std::string_view name_of(SessionState state);
std::string_view name_of(Side side);

// Whether `sender` may send a message of this type in this state.
bool may_send(SessionState state, MessageType type, Side sender);

class Session {
 public:
  SessionState state() const { return state_; }

  // What the parser shall let through from `sender` at this moment.
  FrameCaps caps(Side sender) const;

  // Takes account of a message that `sender` has sent, ours or the other's. Throws WireError, and
  // changes nothing, if it may not come now or contradicts what was said before: a version that was
  // not offered, another run, another key or model than the task's, an offset outside the transfer,
  // a chunk that does not follow the one before or is empty though something is left.
  void accept(Side sender, const Message& message);

  // Of the task at hand (kTasked to kDelivered).
  const UpdateKey& key() const { return task_.key; }
  // Bytes of the transfer that runs (kModel, kUpdate) that have gone, and that there are.
  std::uint64_t transferred_bytes() const { return offset_; }
  std::uint64_t total_bytes() const { return total_; }

 private:
  SessionState after(const Message& message) const;
  SessionState after_chunk(MessageType type, std::uint64_t offset, std::uint64_t total,
                           std::size_t bytes) const;
  void remember(const Message& message);

  SessionState state_ = SessionState::kOpening;
  Hello hello_;
  Welcome welcome_;
  Task task_;  // without its bytes
  std::uint64_t offer_total_ = 0;
  bool is_declined_ = false;
  std::uint64_t offset_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace coppice::session
