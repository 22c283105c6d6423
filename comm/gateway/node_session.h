#pragma once
// A device's end of the connection to its coordinator: it connects and, when it is cut, connects
// again, goes on with transfers where they stopped, and offers an answer until it hears what became
// of it. NodeLink (node_link.h) is this with a thread of its own; many of these on one io_context
// are a fleet in one process.
//
// Everything happens on the io_context's one thread: calls, and the calls back. Holds the model of
// one task and one answer.

#include <cstdint>     // for uint64_t
#include <functional>  // for function
#include <memory>      // for shared_ptr
#include <optional>    // for optional
#include <string>      // for string
#include <vector>      // for vector

#include "comm/session/messages.h"
#include "comm/tls/context.h"

namespace boost::asio {
class io_context;
}

namespace coppice::gateway {

struct NodeOptions {
  std::string host = "127.0.0.1";  // a name or a number
  std::uint16_t port = 0;
  std::string program = "coppice";         // printable ASCII, for the coordinator's log
  std::optional<session::RunId> run = {};  // the only one to take part in; none: any

  // Between attempts to connect: from the first to the second, doubled each time, times a factor of
  // 0.5 to 1 drawn from `seed`, so that a fleet does not come back at once.
  std::int64_t backoff_min_ms = 200;
  std::int64_t backoff_max_ms = 30'000;
  std::uint64_t seed = 0;
  std::int64_t give_up_ms = 0;       // without a session for so long: the end. 0: never
  std::int64_t connect_ms = 10'000;  // from an attempt to the coordinator's welcome
  std::int64_t stall_ms = 60'000;    // a model without any progress
  std::uint64_t max_model_bytes = session::kMaxTransferBytes;  // larger ones are declined
};

struct NodeWork {
  session::UpdateKey key;
  std::vector<std::uint8_t> task;
  std::shared_ptr<const std::vector<std::uint8_t>> model;  // shared with the session; its digest
                                                           // fits
  std::uint32_t deadline_ms = 0;                           // from when the task came; 0: none
};

// What a node says to a task.
struct NodeAnswer {
  std::vector<std::uint8_t> update = {};
  session::Sha256Digest digest = {};
  std::string refusal = {};  // why there is no update

  // Computes the digest. Throws Error for an update without bytes or above kMaxTransferBytes.
  static NodeAnswer of(std::vector<std::uint8_t> update);
  static NodeAnswer decline(const std::string& reason);
};

struct NodeEnd {
  enum class Why : std::uint8_t {
    kDone,      // the coordinator: the run is over
    kRefused,   // the coordinator: not with this certificate, node or version
    kOtherRun,  // the coordinator has another run than the one that is expected
    kGaveUp,    // no session for give_up_ms
    kStopped    // stop()
  };
  Why why = Why::kStopped;
  std::string text = {};
};

struct NodeCounters {
  std::int64_t attempts = 0;       // to connect
  std::int64_t sessions = 0;       // that were welcomed
  std::uint64_t model_bytes = 0;   // received
  std::uint64_t update_bytes = 0;  // sent
};

struct NodeEvents {
  // Work to be done; answer() it some time. A later one takes its place: the coordinator has no use
  // for the answer to the earlier.
  std::function<void(NodeWork)> work;
  // What became of the answer.
  std::function<void(const session::UpdateKey&, session::AckStatus, const std::string& reason)>
      settled = {};
  // A session begins (true) or ends, or an attempt failed (false, with the reason).
  std::function<void(bool is_connected, const std::string& text)> link = {};
  // Once, last.
  std::function<void(const NodeEnd&)> ended;
};

class NodeSession {
 public:
  // Throws ConfigError for options that contradict each other. `io` and `tls` outlive it.
  NodeSession(boost::asio::io_context& io, tls::TlsContext& tls, const NodeOptions& options,
              NodeEvents events);
  ~NodeSession();  // cuts the connection; no calls back
  NodeSession(const NodeSession&) = delete;
  NodeSession& operator=(const NodeSession&) = delete;

  void start();
  // Ignored unless `key` is that of the work at hand.
  void answer(const session::UpdateKey& key, NodeAnswer answer);
  void stop();  // says bye; ended() follows
  const NodeCounters& counters() const;

 private:
  class State;
  std::shared_ptr<State> state_;  // shared with its handlers
};

}  // namespace coppice::gateway
