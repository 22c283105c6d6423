#include "coordinator/round_plan.h"

#include <algorithm>  // for clamp, find, max
#include <cmath>      // for floor, llround

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

// The last round of the main track that trains in fp32.
std::int64_t last_float_round(const ExperimentConfig& config, const std::vector<double>& keep) {
  const std::int64_t rounds = config.train.rounds;
  if (config.compress.quantize.bits == 32) return rounds;
  const auto start = std::llround(config.compress.quantize.start * static_cast<double>(rounds));
  const auto shrunk = std::find(keep.begin(), keep.end(), keep.back()) - keep.begin() + 1;
  return std::clamp<std::int64_t>(start, std::min<std::int64_t>(shrunk, rounds), rounds);
}

std::string phase_of(const std::vector<double>& keep, std::size_t i) {
  if (keep.back() == 1.0) return "train";
  const double before = i == 0 ? 1.0 : keep[i - 1];
  if (keep[i] == 1.0) return "warmup";
  return before == keep.back() ? "recover" : "shrink";
}

std::vector<RoundPlan> main_track(const ExperimentConfig& config) {
  const std::int64_t rounds = config.train.rounds;
  const DistillConfig& distill = config.compress.distill;
  const std::vector<double> keep = keep_fractions(config);
  const std::int64_t last_float = last_float_round(config, keep);
  const bool quantizes = config.compress.quantize.bits != 32;
  const auto silent =
      static_cast<std::int64_t>(std::floor(distill.start * static_cast<double>(rounds)));
  std::vector<RoundPlan> plans;
  for (std::int64_t r = 1; r <= rounds; ++r) {
    RoundPlan plan;
    plan.round = r;
    plan.phase = phase_of(keep, static_cast<std::size_t>(r - 1));
    if (distill.has_student() && plan.phase == "train") plan.phase = "distill";
    plan.keep_fraction = keep[static_cast<std::size_t>(r - 1)];
    plan.is_quantized = r > last_float;
    if (plan.is_quantized) plan.phase = "quantize";
    plan.calibrates = quantizes && (r == last_float || r == rounds);
    plan.distills = distill.teacher != "none" && r > silent;
    plans.push_back(plan);
  }
  return plans;
}

}  // namespace

std::vector<RoundPlan> plan_rounds(const ExperimentConfig& config) {
  std::vector<RoundPlan> plans;
  const std::int64_t rounds = config.train.rounds;
  if (config.compress.control) {
    for (std::int64_t r = 1; r <= rounds; ++r) {
      RoundPlan plan;
      plan.track = kControlTrack;
      plan.round = r;
      plan.phase = "control";
      plans.push_back(plan);
    }
  }
  for (RoundPlan& plan : main_track(config)) plans.push_back(std::move(plan));
  for (RoundPlan& plan : plans) {
    plan.is_last_of_track = plan.round == rounds;
    plan.is_evaluated = plan.round % config.eval.every == 0 || plan.is_last_of_track;
  }
  return plans;
}

}  // namespace coppice
