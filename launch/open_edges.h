#pragma once
// The devices of a run before it begins: who they are, what they are told, and the network that
// carries both.

#include <optional>  // for optional

#include "coordinator/run_record.h"
#include "core/experiment.h"
#include "launch/edges.h"
#include "launch/federation.h"
#include "launch/world.h"

namespace coppice {

struct EdgesRequest {
  const World& world;
  const ExperimentConfig& config;
  const RunIdentity& identity;  // of which the network's run id is made
  const RunOptions& options;
  Edges::Others others;
  Note note;
};

// Nothing if every client is simulated. Opens the network, so that an address that is taken is
// known before a run folder is made. Throws ConfigError for devices that are no clients of the run.
std::optional<Edges> open_edges(EdgesRequest request);

}  // namespace coppice
