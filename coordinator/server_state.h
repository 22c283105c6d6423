#pragma once
// All that a later round needs to know of the earlier ones. It is a value: written to a checkpoint
// at every commit, read back on resume, and nothing else is remembered.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "core/checkpoint.h"
#include "core/graph.h"

namespace coppice {

struct ServerState {
  Graph graph;
  std::vector<float> parameters;
  NamedBuffers strategy_state;
  std::int64_t position = 0;    // committed rounds, over all tracks
  std::int64_t mask_epoch = 0;  // shrinks of the current track
  double norm_median = 0.0;     // of the last committed round's accepted updates; 0: none yet
};

// The state as a checkpoint and back; `position` and `norm_median` are the commit record's.
Checkpoint to_checkpoint(const ServerState& state, std::int64_t round);
ServerState from_checkpoint(Checkpoint checkpoint, std::int64_t position, double norm_median);

}  // namespace coppice
