#pragma once
// What the coordinator remembers between rounds about the bytes that travel: how fine updates are
// quantized, what simulated clients have left out of theirs, and which model clients hold. A value,
// part of ServerState; empty where nothing needs it.

#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "algorithms/client_precision.h"
#include "comm/model_delta.h"
#include "core/checkpoint.h"
#include "core/index_map.h"
#include "core/task.h"

namespace coppice {

// The model as it was last sent, when changes are sent in place of the whole.
struct Broadcast {
  HeldModel model;  // empty: the next one is sent whole
  // Bytes of each frame of changes since the model was last sent whole; below 2^48.
  std::vector<std::int64_t> delta_bytes;
  // How many of them each client has; -1: it needs the whole. Below 2^24.
  std::vector<std::int64_t> held;

  friend bool operator==(const Broadcast&, const Broadcast&) = default;
};

struct TransportState {
  LevelSchedule levels;
  std::vector<Residual> residuals;  // by client; values in the layout of all parameters
  Broadcast broadcast;

  friend bool operator==(const TransportState&, const TransportState&) = default;
};

// Follows a shrink of the model: what was left out of a channel that goes is gone too, and the next
// model is sent whole.
void shrink_transport(TransportState& transport, const IndexMap& map);

// As buffers of a checkpoint, beside those of the strategy, and back; what is found is taken out.
void write_transport(const TransportState& transport, NamedBuffers& buffers);
TransportState take_transport(NamedBuffers& buffers);

}  // namespace coppice
