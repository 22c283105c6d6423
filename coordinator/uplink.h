#pragma once
// How a round's updates travel: which codec, how finely each client quantizes, and what clients
// that keep what they leave out bring along. Called by the round machine; pure but for the state.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "coordinator/server_state.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// Throws ConfigError for a budget that not even the coarsest update of so many parameters keeps to,
// and for error feedback
// whose residuals would take more than 1 GiB with the state of the run.
void check_uplink(const CommConfig& comm, std::int64_t clients, std::int64_t parameters);

// Fills in the codec of `task`, whose cohort is known, and its options for each client:
// - dadaquant: levels as the schedule and the clients' samples say;
// - comm.budget: bytes, so that the sum over the cohort is at most budget * clients; the smallest
//   frame where the budget is below it. The budget is the same for every round.
// `weights[k]` = samples of client k.
void plan_uplink(const CommConfig& comm, std::span<const std::int64_t> weights,
                 const ServerState& state, ClientTask& task);

// After the clients of `task` have trained, before anything is done to the model: `residuals` are
// kept, and the schedule of dadaquant learns the mean `loss` of a run of `rounds`.
void learn_uplink(const ClientTask& task, double loss, std::int64_t rounds,
                  std::vector<Residual> residuals, const CommConfig& comm, ServerState& state);

// What the clients of `task` bring along, in the layout of what travels.
std::vector<Residual> residuals_for(const ClientTask& task, const ServerState& state);

}  // namespace coppice
