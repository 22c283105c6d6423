#pragma once
// How the server decides what becomes of each layer's weights: which of them stay, and how many
// bits their codes have, so that the model's file fits. Clients say what each way costs in loss
// (SenseRequest), the file format says what it costs in bytes, an allocator
// (algorithms/allocator.h) chooses. Pure functions of their arguments; the weights that stay are
// those of the global model with the largest magnitudes, so that no mask has to be voted on or sent
// up.

#include <cstdint>  // for int64_t

#include "algorithms/allocator.h"
#include "coordinator/server_state.h"
#include "core/exact_sum.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// Every density with every number of bits, for all weights that can be quantized.
SenseRequest sense_request(const ServerState& state, const CompressConfig& compress,
                           std::int64_t max_weight);

// What the next choice aims at.
struct AllocationTarget {
  std::int64_t max_bytes = 0;  // of the finished file
  // How much of what the largest choice takes beyond that is still allowed: 1 all, 0 nothing.
  double slack = 0.0;
};

// After choice `choices` of compress.allocate.steps: (1 - choices / steps)^3 of the bytes above the
// target are left (after Zhu & Gupta 2017, eq. 1); none where the allocator regrows.
AllocationTarget allocation_target(const CompressConfig& compress, std::int64_t choices);

// Chooses by `table`, the clients' answers to `request`, and takes the choice: mask, bits of every
// layer, mask epoch. Weights that are masked once stay so. If not even the smallest choice fits, it
// is taken. Whatever the allocator, tables, budget, and what is counted as bytes are the same.
// Returns what was allotted, in the order of request.parameters.
Allotment allocate_weights(ServerState& state, const Allocator& allocator,
                           const SenseRequest& request, const ExactSum& table,
                           const AllocationTarget& target);

// Once there are grids: masks the smallest weights whose codes are not zero until the file takes at
// most `max_bytes`, or none of them is left. Training moves codes about, and with them how well
// they can be coded. Does nothing to a model that fits already.
void fit_file(ServerState& state, std::int64_t max_bytes);

}  // namespace coppice
