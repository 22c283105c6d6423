#pragma once
// Sends the model as what it has changed by (comm.downlink). The coordinator keeps the model that
// clients hold, in Broadcast; what a codec leaves out of one frame is still a difference at the
// next, which is the coordinator's own error feedback. Called by the round machine.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "coordinator/server_state.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// Before a task goes out: moves what clients hold towards `state.parameters`, or to just these
// where no changes can say it: at first, and when the graph is another one. `clients` is how many
// there are. Returns the frame of changes (comm/model_delta.h); empty: the model is sent whole.
std::vector<std::uint8_t> send_changes(const DownlinkConfig& downlink, std::uint64_t seed,
                                       std::int64_t clients, ServerState& state);

// Adds to each row that is not missing what its client received: the frames that it has missed, or
// the whole model where it holds none or that is smaller. From then on it is taken to hold the
// model: one that answered late has yet to be sent it.
void count_changes(ServerState& state, std::span<ClientRow> rows);

// What clients train from.
const std::vector<float>& sent_model(const ServerState& state);

}  // namespace coppice
