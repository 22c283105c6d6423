#include "coordinator/server_state.h"

namespace coppice {

Checkpoint to_checkpoint(const ServerState& state, std::int64_t round) {
  Checkpoint checkpoint;
  checkpoint.graph = state.graph;
  checkpoint.parameters = state.parameters;
  checkpoint.round = round;
  checkpoint.mask_epoch = state.mask_epoch;
  checkpoint.server_state = state.strategy_state;
  return checkpoint;
}

ServerState from_checkpoint(Checkpoint checkpoint, std::int64_t position, double norm_median) {
  return {.graph = std::move(checkpoint.graph),
          .parameters = std::move(checkpoint.parameters),
          .strategy_state = std::move(checkpoint.server_state),
          .position = position,
          .mask_epoch = checkpoint.mask_epoch,
          .norm_median = norm_median};
}

}  // namespace coppice
