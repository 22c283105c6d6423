#pragma once
// How the server's model becomes a quantized one: the server owns all grids. Pure functions of
// their arguments.

#include <span>    // for span
#include <string>  // for string

#include "coordinator/server_state.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// Before the first grids: batch norms become part of the convolutions before them, as a plan wants
// it. Momentum of what is no longer a parameter means nothing, nor does what clients have left out
// of it; both start anew.
void fold_norms(ServerState& state);

// The grids of the weights as they are now: with the bits that an allocator chose, or those of
// `quantize`.
void set_weight_grids(ServerState& state, const QuantizeConfig& quantize);

// The grids of `nodes` from a round's histograms. Without a count the plan keeps those it has.
void set_activation_grids(ServerState& state, std::span<const std::string> nodes,
                          const NamedSums& sums);

}  // namespace coppice
