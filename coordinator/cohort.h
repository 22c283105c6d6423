#pragma once
// Who takes part in a round: a function of the seed and the round, so that a resumed run, and
// whoever counts what clients have received, needs to remember nothing. Pure functions.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <set>         // for set
#include <span>        // for span
#include <vector>      // for vector

#include "coordinator/round_plan.h"
#include "core/experiment.h"

namespace coppice {

// The clients of a round of either track, ascending; of `population` clients.
std::vector<std::int64_t> select_cohort(const ExperimentConfig& config, std::int64_t population,
                                        std::int64_t round);

// Everyone in the cohort of a round of the main track among `rounds` for which `is_meant` is true.
std::set<std::int64_t> clients_of(const ExperimentConfig& config, std::int64_t population,
                                  std::span<const RoundPlan> rounds,
                                  const std::function<bool(const RoundPlan&)>& is_meant);

}  // namespace coppice
