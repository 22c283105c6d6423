#pragma once
// How the server's model becomes a smaller one: it asks clients which units to keep, counts their
// ballots, and removes the others. Pure functions of their arguments.

#include <cstdint>   // for int64_t, uint8_t
#include <optional>  // for optional
#include <span>      // for span

#include "algorithms/pruner.h"
#include "coordinator/server_state.h"
#include "core/coupling.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// What clients are to vote on so that at most `most` parameters are left; nothing if the model is
// that small, or nothing more can go because every group is down to its last unit.
std::optional<BallotRequest> ballot_request(const ServerState& state, const PruneConfig& prune,
                                            std::int64_t most);

// Removes the units of `coupling`, that of the state's graph, whose `keep` is 0: from graph,
// parameters, mask, mean of models, and what strategy and transport remember. Grids of weights that
// there are already are for the caller to make anew, and the mask epoch is for it to count. Throws
// as shrink().
void remove_units(ServerState& state, const Coupling& coupling, std::span<const std::uint8_t> keep);

// Removes what the ballots, answers to `request`, do not keep; ties are broken by the magnitudes of
// the model's own weights (unit_magnitudes()).
void shrink_model(ServerState& state, const BallotRequest& request, const ExactSum& ballots);

}  // namespace coppice
