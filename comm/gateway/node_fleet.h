#pragma once
// Many nodes in one process, on the thread that calls: fleets for benches and simulations. Each has
// its own identity, connection and session, as a device would.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <span>        // for span
#include <vector>      // for vector

#include "comm/gateway/node_link.h"

namespace coppice::gateway {

class NodeFleet {
 public:
  // Reads everybody's files, as NodeLink does. `work` is called on run()'s thread, between the
  // messages of all: what takes long keeps the others waiting.
  NodeFleet(std::span<const NodeLinkOptions> nodes,
            std::function<NodeAnswer(const NodeWork&)> work);
  ~NodeFleet();
  NodeFleet(const NodeFleet&) = delete;
  NodeFleet& operator=(const NodeFleet&) = delete;

  // Connects all, some hundreds at a time, and returns when all have ended: their ends, in order.
  // Once only.
  std::vector<NodeEnd> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace coppice::gateway
