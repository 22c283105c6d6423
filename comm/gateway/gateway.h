#pragma once
// The coordinator's end of the connections to real devices: it listens, lets nodes in over TLS 1.3,
// gives them their tasks and models, and hands their updates to its owner, each once.
//
// A Gateway has a thread of its own for all connections. All calls come from one other thread, its
// owner's, and none but next() and stop() waits. Nothing is printed. What nodes do wrong ends their
// connections and is counted; what the owner does wrong throws Error; what breaks the gateway
// itself is thrown by next().
//
// Memory is bounded: an update's bytes are asked for only when buffer_bytes has room for all of
// them (others wait their turn), models are shared, and a connection holds one frame each way.

#include <chrono>    // for milliseconds
#include <cstdint>   // for uint64_t
#include <map>       // for map
#include <memory>    // for shared_ptr
#include <optional>  // for optional
#include <set>       // for set
#include <span>      // for span
#include <string>    // for string
#include <variant>   // for variant
#include <vector>    // for vector

#include "comm/session/messages.h"
#include "comm/tls/context.h"

namespace coppice::gateway {

struct GatewayOptions {
  std::string address = "127.0.0.1";  // numeric, IPv4 or IPv6
  std::uint16_t port = 0;             // 0: the kernel picks one
  tls::TlsFiles files = {};           // of the coordinator
  tls::UnixClock clock = {};          // for certificates; empty: the system's

  std::int64_t heartbeat_ms = 1000;
  std::int64_t silence_ms = 3000;    // a node that is cut is noticed within a ninth more
  std::int64_t stall_ms = 60'000;    // a transfer without any progress
  std::int64_t handshake_ms = 5000;  // from the connection to the node's hello

  std::int64_t max_connections = 16'384;
  std::int64_t max_handshakes = 256;  // connections that have not said hello; more wait outside
  std::uint64_t max_update_bytes = std::uint64_t{1} << 30;  // of one node
  std::uint64_t buffer_bytes = std::uint64_t{4} << 30;      // of all updates not yet taken
};

// Work for one node.
struct Question {
  std::string node;
  std::vector<std::uint8_t> task;                          // 1 byte to kMaxTaskBytes
  std::shared_ptr<const std::vector<std::uint8_t>> model;  // shared by the nodes that get it
  std::uint32_t deadline_ms = 0;                           // for the node to know; 0: none
};

struct Joined {
  std::string node;
};
struct Left {
  std::string node;
  std::string reason;
};
struct Arrived {
  std::string node;
  session::UpdateKey key;
  std::vector<std::uint8_t> update;  // its digest is the one that was offered
};
// The node cannot do its task, or its update cannot be taken: ask_again() or go without.
struct Declined {
  std::string node;
  session::UpdateKey key;
  std::string reason;
};
using GatewayEvent = std::variant<Joined, Left, Arrived, Declined>;

struct Verdict {
  bool is_applied = false;
  std::string refusal = {};  // why it does not count; for the node's log

  static Verdict applied() { return {true, {}}; }
  static Verdict refused(std::string why) { return {false, std::move(why)}; }
};

struct GatewayCounters {
  std::int64_t connections = 0;                 // open now
  std::int64_t accepted = 0;                    // ever
  std::int64_t accept_failures = 0;             // no descriptors, no memory: tried again
  std::int64_t handshakes = 0;                  // done
  std::int64_t enrolled = 0;                    // nodes that were let in, each time
  std::int64_t replaced = 0;                    // connections whose node came again
  std::int64_t broken = 0;                      // connections that said what they may not
  std::map<std::string, std::int64_t> refused;  // handshakes and nodes, by reason
  std::uint64_t bytes_in = 0;                   // on the wire, with TLS's records
  std::uint64_t bytes_out = 0;
  std::uint64_t model_bytes = 0;   // of models, sent
  std::uint64_t update_bytes = 0;  // of updates, received
  std::uint64_t held_bytes = 0;    // of updates, promised room for now
};

class Gateway {
 public:
  // Listens. `nodes` are those of the run; others are refused. Throws ConfigError for options that
  // contradict each other or an address that cannot be listened on, DataError for TLS's files.
  Gateway(const GatewayOptions& options, const session::RunId& run,
          std::span<const std::string> nodes);
  ~Gateway();  // cuts what is open; stop() first to say bye
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  std::uint16_t port() const;

  // Begins a round, later than all before (the first one says where a run goes on), with one
  // question for each node that is asked. Nodes that are away get theirs when they come, and the
  // same again when they come back.
  void open(std::int64_t round, std::vector<Question> questions);

  // What happened, in the order in which it did; nothing after `timeout`. After an Arrived the
  // owner decides with settle(). Of a node's comings and goings the last one is told. Checks the
  // update's digest (some ms per 10 MB).
  std::optional<GatewayEvent> next(std::chrono::milliseconds timeout);

  // Tells the node what became of the update that arrived last. Once it is applied it counts: a
  // later one of the same node and round is a duplicate.
  void settle(const std::string& node, const Verdict& verdict);

  // Another attempt of a node whose answer was refused, declined or is not there yet. Its earlier
  // ones count no more.
  void ask_again(Question question);

  // Ends the round: what has not been applied is late. But nodes of `standing` are left at what
  // they have not answered, in this round or before; the answer may come in the next round, under
  // the key that it was asked with, if that does not ask the node again.
  void close_round(const std::set<std::string>& standing = {});

  // Says bye to all nodes, waits until they have read it, at most silence_ms, and closes.
  void stop(session::ByeReason reason, const std::string& text);

  GatewayCounters counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace coppice::gateway
