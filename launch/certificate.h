#pragma once
// The two ways in which a run with a target ends (summary.json): a certificate, all that is known
// of a model that meets its constraints; or the frontier, what could be reached instead and which
// constraint stood in the way. Pure functions of what the run wrote down, so that a resumed run
// says the same.

#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "core/experiment.h"
#include "core/json.h"
#include "deploy/validation.h"

namespace coppice {

// The retention that the finished model is judged by in runs with compress.gate, and in those whose
// devices alone have the held-out samples: what decides of the last round's comparison
// (Retention::decisive()). Nothing in other runs, or if nobody was left to compare.
std::optional<double> judged_retention(const ExperimentConfig& config,
                                       const std::vector<Json>& metrics);

// What makes a run's ending more than its verdicts.
struct RunEnding {
  std::span<const Verdict> verdicts;
  const Validation& validation;
  std::optional<double> dense_validation;  // accuracy of the dense model, on validation samples
};

// {config_sha256, seed, model_sha256, file_sha256, file_bytes, latency_us, peak_memory_bytes,
// retention, gap, predicted_loss}; null unless there are constraints and all are met.
Json certificate_json(const ExperimentConfig& config, const std::vector<Json>& metrics,
                      const RunEnding& ending);

// {binding, predicted, measured}; null unless a constraint is not met.
Json frontier_json(const ExperimentConfig& config, const std::vector<Json>& metrics,
                   const RunEnding& ending);

}  // namespace coppice
