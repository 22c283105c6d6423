#pragma once
// summary.json: what a run came to. Field names are a contract with scripts (docs/run_folder.md).

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <string>    // for string
#include <vector>    // for vector

#include "coordinator/run_session.h"
#include "core/experiment.h"
#include "core/json.h"
#include "deploy/validation.h"

namespace coppice {

// The dense model that the run is measured against: its own control, or an earlier run's summary,
// or nothing.
ModelAccuracy dense_reference(const ExperimentConfig& config, const std::vector<Json>& metrics);

// `value` over `reference`; nothing if one of them is missing or the reference is 0.
std::optional<double> ratio(const std::optional<double>& value,
                            const std::optional<double>& reference);

// Throws ConfigError for a constraint that nothing in the config lets a run measure, or that the
// runtime cannot measure on `graph`, naming the layer that it does not run.
void check_constraints(const ExperimentConfig& config, const Graph& graph);

struct RunTotals {
  RunIdentity identity;
  Validation validation;
  std::int64_t parameters = 0;
  std::int64_t dense_parameters = 0;
  // Of a training step of the dense model with no lever but the micro-batch.
  std::optional<std::int64_t> dense_train_memory_bytes = {};
  double seconds = 0.0;  // of this process, set-up included
};

Json make_summary(const ExperimentConfig& config, const std::vector<Json>& metrics,
                  const RunTotals& totals);

// 0, or 3 if the summary has a constraint that is not met.
int constraints_exit_code(const Json& summary);

}  // namespace coppice
