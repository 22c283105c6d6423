#pragma once
// Rank 0 beside its worker: drives the round machine, carries its events, obeys its actions.

#include "comm/communicator.h"
#include "core/experiment.h"
#include "core/json.h"
#include "launch/federation.h"
#include "launch/worker.h"
#include "launch/world.h"

namespace coppice {

struct LeadRequest {
  Communicator& communicator;
  const ExperimentConfig& config;
  const RunOptions& options;
  const World& world;
  Worker& worker;
  RunObserver* observer = nullptr;
};

// Runs the whole experiment on rank 0 and returns its summary, while the others follow. Throws
// BrokenStep for what the others do not know of.
Json lead_run(const LeadRequest& request);

}  // namespace coppice
