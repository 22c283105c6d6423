#pragma once
// How the server's mask changes without keeping more or less: it asks clients which weights they
// would have, and moves those that the method chooses. For allocators that regrow
// (algorithms/regrowth.h); the first mask is allocate_weights()'s. Pure functions of their
// arguments.

#include <cstdint>  // for uint64_t

#include "coordinator/server_state.h"
#include "core/experiment.h"
#include "core/regrow_request.h"
#include "core/task.h"

namespace coppice {

// Throws ConfigError for what an allocator that regrows cannot do: a single choice, channels that
// go.
void check_regrowth(const CompressConfig& compress);

// The ballot of the next adjustment, after state.choices of compress.allocate.steps choices, of
// which the first made the mask. Throws ConfigError if the allocator does not regrow.
RegrowRequest regrow_request(const ServerState& state, const AllocateConfig& allocate);

// Moves weights by `ballots`, answers to `request` of a positive weight: mask, mask epoch and, of
// fedrts, the posterior. What comes is zero and has no momentum; what goes is zero. `seed` is the
// run's, `round` the track's, for what is drawn.
void regrow_weights(ServerState& state, const AllocateConfig& allocate,
                    const RegrowRequest& request, const ExactSum& ballots, std::uint64_t seed,
                    std::int64_t round);

}  // namespace coppice
