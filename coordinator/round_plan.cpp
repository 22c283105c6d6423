#include "coordinator/round_plan.h"

#include <algorithm>  // for clamp, max
#include <cmath>      // for llround

#include "algorithms/pruner.h"

namespace coppice {
namespace {

// Keep fraction after each round of the main track, index 0 = round 1.
std::vector<double> keep_fractions(const ExperimentConfig& config) {
  const PruneConfig& prune = config.compress.prune;
  const std::int64_t rounds = config.train.rounds;
  std::vector<double> keep(static_cast<std::size_t>(rounds), 1.0);
  if (prune.pruner == "none") return keep;
  const std::int64_t latest = std::max<std::int64_t>(1, rounds - 1);
  const auto at = [&](double fraction) {
    return std::clamp<std::int64_t>(std::llround(fraction * static_cast<double>(rounds)), 1,
                                    latest);
  };
  const std::int64_t first = at(prune.start);
  const std::int64_t last = std::max(first, at(prune.end));
  for (std::int64_t step = 1; step <= prune.steps; ++step) {
    const std::int64_t span =
        prune.steps == 1 ? 0 : (last - first) * (step - 1) / (prune.steps - 1);
    const std::int64_t round = prune.steps == 1 ? last : first + span;
    for (std::int64_t r = round; r <= rounds; ++r) {
      keep[static_cast<std::size_t>(r - 1)] = cubic_keep_fraction(prune.target, step, prune.steps);
    }
  }
  return keep;
}

std::string phase_of(const std::vector<double>& keep, std::size_t i, double target) {
  if (keep.back() == 1.0) return "train";
  const double before = i == 0 ? 1.0 : keep[i - 1];
  if (keep[i] == 1.0) return "warmup";
  return before == target ? "recover" : "shrink";
}

}  // namespace

std::vector<RoundPlan> plan_rounds(const ExperimentConfig& config) {
  std::vector<RoundPlan> plans;
  const std::int64_t rounds = config.train.rounds;
  const auto is_evaluated = [&](std::int64_t round) {
    return round % config.eval.every == 0 || round == rounds;
  };
  if (config.compress.control) {
    for (std::int64_t r = 1; r <= rounds; ++r) {
      plans.push_back({kControlTrack, r, "control", 1.0, is_evaluated(r), r == rounds});
    }
  }
  const std::vector<double> keep = keep_fractions(config);
  for (std::int64_t r = 1; r <= rounds; ++r) {
    const auto i = static_cast<std::size_t>(r - 1);
    plans.push_back(
        {kMainTrack, r, phase_of(keep, i, keep.back()), keep[i], is_evaluated(r), r == rounds});
  }
  return plans;
}

}  // namespace coppice
