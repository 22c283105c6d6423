#pragma once
// A device's link to its coordinator as one blocking call: work comes in, answers go out, and lost
// connections are made again. A thread of its own keeps the connection alive while the caller's
// thread works.

#include <functional>  // for function
#include <memory>      // for unique_ptr

#include "comm/gateway/node_session.h"

namespace coppice::gateway {

struct NodeLinkOptions {
  NodeOptions node = {};
  tls::TlsFiles files = {};   // of the node
  tls::UnixClock clock = {};  // for certificates; empty: the system's
};

// All but `work` may be empty. Called on the thread of run().
struct NodeHandlers {
  std::function<NodeAnswer(const NodeWork&)> work;
  std::function<void(const session::UpdateKey&, session::AckStatus, const std::string& reason)>
      settled = {};
  std::function<void(bool is_connected, const std::string& text)> link = {};
};

class NodeLink {
 public:
  // Reads the files (DataError) and checks the options (ConfigError). Connects to nothing.
  explicit NodeLink(const NodeLinkOptions& options);
  ~NodeLink();
  NodeLink(const NodeLink&) = delete;
  NodeLink& operator=(const NodeLink&) = delete;

  // Until the coordinator says that the run is over or that this node has no place, until there was
  // no session for give_up_ms, or until stop(). Once only. What a handler throws ends the link and
  // is thrown; a coordinator with another run than the expected one is a CommError. Work that was
  // replaced while the handler had another is never handed out; the handler is not interrupted.
  NodeEnd run(const NodeHandlers& handlers);

  // From any thread (not from a signal handler), before, during or after run(), which returns when
  // its handler does.
  void stop();

  NodeCounters counters() const;  // as they were when run() last heard from its thread

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace coppice::gateway
