#include "coordinator/cohort.h"

#include <algorithm>  // for sort

#include "core/random.h"

namespace coppice {

std::vector<std::int64_t> select_cohort(const ExperimentConfig& config, std::int64_t population,
                                        std::int64_t round) {
  RandomStream stream({config.seed, Purpose::kCohort, -1, round});
  std::vector<std::int64_t> cohort = random_permutation(population, stream);
  if (config.train.clients_per_round > 0)
    cohort.resize(static_cast<std::size_t>(config.train.clients_per_round));
  std::sort(cohort.begin(), cohort.end());
  return cohort;
}

std::set<std::int64_t> clients_of(const ExperimentConfig& config, std::int64_t population,
                                  std::span<const RoundPlan> rounds,
                                  const std::function<bool(const RoundPlan&)>& is_meant) {
  std::set<std::int64_t> out;
  for (const RoundPlan& plan : rounds) {
    if (plan.track != kMainTrack || !is_meant(plan)) continue;
    for (const std::int64_t client : select_cohort(config, population, plan.round))
      out.insert(client);
  }
  return out;
}

}  // namespace coppice
