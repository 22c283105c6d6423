#pragma once
// What is known of a finished round; whoever drives the rounds adds seconds and writes it down.
// Plain value.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <vector>    // for vector

#include "algorithms/allocator.h"
#include "coordinator/round_plan.h"
#include "core/eval_sums.h"
#include "core/task.h"

namespace coppice {

struct RoundRecord {
  std::int64_t position = 0;  // commits before it
  RoundPlan plan;
  std::vector<ClientRow> rows;  // by client; one a client of the cohort
  double train_loss = 0.0;      // weighted mean over accepted clients
  std::int64_t samples = 0;
  std::int64_t bytes_up = 0;
  std::int64_t bytes_down = 0;
  std::int64_t refused = 0;
  std::int64_t missing = 0;
  std::int64_t parameters = 0;  // after the round
  double density = 1.0;         // of the dense model's parameters
  double mean_bits = 32.0;      // of a stored parameter
  std::int64_t mask_epoch = 0;
  std::optional<Allotment> allotment;  // of a round that chose densities and bits
  double norm_median = 0.0;  // of the accepted updates; if there are none, the round's before
  std::optional<EvalSums> test;
  std::optional<EvalSums> validation;
};

}  // namespace coppice
