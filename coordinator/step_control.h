#pragma once
// How a compression is taken back: before a choice the model is kept, and after some rounds of
// recovery it either goes on from there or returns. Pure functions of their arguments; what they
// know is in the ServerState, so that a run that is resumed between the two ends the same.

#include <cstdint>  // for int64_t

#include "coordinator/round_record.h"
#include "coordinator/server_state.h"
#include "core/exact_sum.h"
#include "core/experiment.h"

namespace coppice {

// What the clients' outcomes (kOutcomeSum) say: passed, if they are enough to tell and the
// retention that decides is at least compress.constraints.min_retention.
GateRecord judge(const ExactSum& outcomes, const CompressConfig& compress);

// Units of StepControl as a fraction of the way.
double share_of(std::int64_t progress);

// Before a choice: keeps the model, and settles how far the choice goes, `choices` of them being
// left, this one included. `first_step`, in the units of StepControl, is where a run begins.
void keep_model(ServerState& state, std::int64_t choices, std::int64_t first_step);

// What of the bytes above the target the choice that is tried still allows, as
// AllocationTarget::slack: (1 - tried)^3.
double slack_of(const ServerState& state);

// After the judgement of a choice. One that has failed is undone: weights, mask, bits and the
// strategy's state are those before it. The mask epoch is a new one all the same, so that no two
// masks ever had the same.
void settle(ServerState& state, bool has_passed);

}  // namespace coppice
