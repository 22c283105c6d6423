#pragma once
// How the server decides what becomes of each layer's weights: which of them stay, one by one or in
// the 4x4 blocks that the runtime skips, and how many bits their codes have, so that the model's
// file fits and a sample takes no longer than allowed. Clients say what each way costs in loss
// (SenseRequest), the file format says what it costs in bytes, a latency table what it costs in
// time, an allocator (algorithms/allocator.h) chooses. Pure functions of their arguments; the
// weights that stay are those of the global model with the largest magnitudes, or in the blocks
// with the largest sums of squares, so that no mask has to be voted on or sent up.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <vector>    // for vector

#include "algorithms/allocator.h"
#include "coordinator/layer_allotment.h"
#include "coordinator/server_state.h"
#include "core/exact_sum.h"
#include "core/experiment.h"
#include "core/task.h"
#include "deploy/latency_table.h"

namespace coppice {

// What is known before the first round, beside the model.
struct AllocationInputs {
  // Of the device that the model is for; null: none. Outlives whoever holds this.
  const LatencyTable* latencies = nullptr;
  // Training samples of each class over all clients; empty: samples have no one class each. The
  // driver knows the partition; where it does not, this is one exact sum over clients.
  std::vector<std::int64_t> class_counts = {};
};

// Before the first round, so that none is lost: throws ConfigError for a limit on latency that
// `allocator` does not know how to keep, for widths that it does not give or no layer can have, for
// a table of another network than `graph` or without the bits that may be chosen, and for a class
// balance of data whose samples have no class.
void check_allocation(const CompressConfig& compress, const Allocator& allocator,
                      const Graph& graph, const AllocationInputs& known);

// Every density and block density with every number of bits and every width, for all weights that
// can be quantized; those of all channels come first.
SenseRequest sense_request(const ServerState& state, const CompressConfig& compress,
                           std::int64_t max_weight, const AllocationInputs& known = {});

// What the next choice aims at.
struct AllocationTarget {
  Budget budget;  // of the finished file, and of one sample
  // How much of what the largest choice takes beyond that is still allowed: 1 all, 0 nothing.
  double slack = 0.0;
};

// After choice `choices` of compress.allocate.steps: (1 - choices / steps)^3 of the bytes and
// microseconds above the target are left (after Zhu & Gupta 2017, eq. 1); none where the
// allocator regrows.
AllocationTarget allocation_target(const CompressConfig& compress, std::int64_t choices);

// A file that some choice from the table would give.
struct ReachableFile {
  std::int64_t bytes = 0;
  double predicted_loss = 0.0;  // nats, that the choice adds

  friend bool operator==(const ReachableFile&, const ReachableFile&) = default;
};

// An allotment, and what the whole model would take with it if it were finished now: names, scales
// and biases, nodes without weights included. Training moves bytes a little; not time, for a mask
// only ever loses blocks. Where layers became narrower, the two are of the model without those
// channels; `bytes` and `layers` are as the choice counted them (coordinator/storage_costs.h).
struct ModelAllotment : Allotment {
  std::int64_t file_bytes = 0;
  std::optional<double> microseconds = {};  // of one sample; absent without a latency table
  // Rising bytes, falling loss, from the smallest file on: the best choices from this round's
  // table, whatever the target (frontier() of algorithms/allocation.h).
  std::vector<ReachableFile> reachable = {};
  std::vector<LayerAllotment> layers = {};  // in the order of the request's parameters
};

// Chooses by `table`, the clients' answers to `request`, and takes the choice: mask, bits of every
// layer, mask epoch, and where layers become narrower graph, parameters and all that is remembered
// of them (remove_units()). Weights that are masked, and channels that are gone, once stay so. If
// not even the smallest choice fits, it is taken. Whatever the allocator, tables, budget, and what
// is counted as bytes are the same. A budget of microseconds needs `latencies`. Returns what was
// allotted, in the order of request.parameters.
ModelAllotment allocate_weights(ServerState& state, const Allocator& allocator,
                                const SenseRequest& request, const ExactSum& table,
                                const AllocationTarget& target,
                                const LatencyTable* latencies = nullptr);

// Bytes of the file that `state` would be if it were finished now, with the bits that were chosen
// (8 where none were). Throws as file_bytes() does.
std::int64_t bytes_as_chosen(const ServerState& state, const QuantizeConfig& quantize,
                             const LatencyTable* latencies = nullptr);

// Once there are grids: masks the smallest weights whose codes are not zero until the file takes at
// most `max_bytes`. Training moves codes about, and with them how well they can be coded. Does
// nothing to a model that fits already, and nothing to a file of more than 1.5 times the target:
// what was chosen then never fitted, and the target is not reached by taking the model apart.
// `latencies` decides how the file's weights lie; null: a rule does.
void fit_file(ServerState& state, std::int64_t max_bytes, const LatencyTable* latencies = nullptr);

}  // namespace coppice
