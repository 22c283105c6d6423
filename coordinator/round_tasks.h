#pragma once
// Parts of the tasks that a round sends: what a teacher adds to the training, and what clients are
// asked for after it. Pure functions of their arguments.

#include "coordinator/round_record.h"
#include "coordinator/server_state.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// The loss terms of a client that listens to a teacher beside its labels.
void add_distillation(const DistillConfig& distill, LocalPlan& plan);

// Asks those whose update was accepted for more: who was refused has no say in it either. `first`
// is the round's first task; what is asked is still to be said.
ClientTask follow_up_task(const ClientTask& first, const ServerState& state,
                          const RoundRecord& record);

// A follow-up in which each client counts once: what its activations are.
ClientTask calibration_task(ClientTask follow_up, const ServerState& state,
                            const QuantizeConfig& quantize);

// The same: for how many of its held-out labels the dense model and this one are right.
ClientTask gate_task(ClientTask follow_up);

}  // namespace coppice
