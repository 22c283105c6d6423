#include "coordinator/round_plan.h"

#include <algorithm>  // for clamp, max
#include <cmath>      // for llround

#include "algorithms/pruner.h"

namespace coppice {
namespace {

// From which round to which something is done, at their ends and counted from 1, that begins after
// fraction `start` of the rounds and is done after `end`. The last comes before the last round, if
// there is more than one.
struct Span {
  std::int64_t first = 1;
  std::int64_t last = 1;
};
Span span_of(double start, double end, std::int64_t rounds) {
  const std::int64_t latest = std::max<std::int64_t>(1, rounds - 1);
  const auto at = [&](double fraction) {
    return std::clamp<std::int64_t>(std::llround(fraction * static_cast<double>(rounds)), 1,
                                    latest);
  };
  const std::int64_t first = at(start);
  return {first, std::max(first, at(end))};
}

// Where `steps` steps fall, evenly.
std::vector<std::int64_t> spread(const Span& span, std::int64_t steps) {
  if (steps == 1) return {span.last};
  std::vector<std::int64_t> at_rounds;
  for (std::int64_t step = 0; step < steps; ++step)
    at_rounds.push_back(span.first + (span.last - span.first) * step / (steps - 1));
  return at_rounds;
}

// Where steps fall that are `apart` rounds apart.
std::vector<std::int64_t> every(const Span& span, std::int64_t apart) {
  std::vector<std::int64_t> at_rounds;
  for (std::int64_t round = span.first; round <= span.last; round += apart)
    at_rounds.push_back(round);
  return at_rounds;
}

// How many of `steps`, rounds at whose ends they are taken, are done after each round: index 0 =
// round 1.
std::vector<std::int64_t> steps_done(const std::vector<std::int64_t>& steps, std::int64_t rounds) {
  std::vector<std::int64_t> done(static_cast<std::size_t>(rounds));
  for (const std::int64_t round : steps) {
    for (std::int64_t r = round; r <= rounds; ++r) ++done[static_cast<std::size_t>(r - 1)];
  }
  return done;
}

// Keep fraction after each round of the main track.
std::vector<double> keep_fractions(const ExperimentConfig& config) {
  const PruneConfig& prune = config.compress.prune;
  const std::int64_t rounds = config.train.rounds;
  std::vector<double> keep(static_cast<std::size_t>(rounds), 1.0);
  if (prune.pruner == "none") return keep;
  const std::vector<std::int64_t> done =
      steps_done(spread(span_of(prune.start, prune.end, rounds), prune.steps), rounds);
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (done[i] > 0) keep[i] = cubic_keep_fraction(prune.target, done[i], prune.steps);
  }
  return keep;
}

using Track = std::vector<RoundPlan>;

// A fraction of the rounds, as a whole number of them.
std::int64_t rounds_of(double fraction, const Track& track) {
  return std::llround(fraction * static_cast<double>(track.size()));
}

// Every round trains the dense network, until a stage below says more.
Track warm_up(const ExperimentConfig& config) {
  Track track(static_cast<std::size_t>(config.train.rounds));
  for (std::size_t i = 0; i < track.size(); ++i) track[i].round = static_cast<std::int64_t>(i) + 1;
  return track;
}

void shrink_and_recover(const ExperimentConfig& config, Track& track) {
  const std::vector<double> keep = keep_fractions(config);
  if (keep.back() == 1.0) return;
  for (std::size_t i = 0; i < track.size(); ++i) {
    track[i].keep_fraction = keep[i];
    const bool is_done = i > 0 && keep[i - 1] == keep.back();
    track[i].phase = keep[i] == 1.0 ? "warmup" : is_done ? "recover" : "shrink";
  }
}

void allocate(const ExperimentConfig& config, Track& track) {
  if (!config.compress.allocates()) return;
  const AllocateConfig& choice = config.compress.allocate;
  const std::int64_t rounds = config.train.rounds;
  const Span span = span_of(choice.start, choice.end, rounds);
  std::vector<std::int64_t> chosen = spread(span, choice.steps);
  if (config.compress.is_gated()) {
    chosen = every(span, config.compress.gate.recovery_rounds);
    for (std::size_t i = 1; i < chosen.size(); ++i)
      track[static_cast<std::size_t>(chosen[i] - 1)].gates = true;
    if (chosen.size() > 1) chosen.pop_back();
  }
  const std::vector<std::int64_t> done = steps_done(chosen, rounds);
  for (std::size_t i = 0; i < track.size(); ++i) {
    track[i].choices = done[i];
    const bool is_done = i > 0 && done[i - 1] == done.back();
    if (done[i] > 0 || track[i].phase == "train")
      track[i].phase = done[i] == 0 ? "warmup" : is_done ? "recover" : "allocate";
  }
}

// After the last shrink, allocation and gate; what is left of the rounds trains on the grids.
void quantize(const ExperimentConfig& config, Track& track) {
  if (!config.compress.quantizes()) return;
  const RoundPlan& end = track.back();
  std::int64_t start = rounds_of(config.compress.quantize.start, track);
  for (const RoundPlan& plan : track) {
    if (plan.gates) start = std::max(start, plan.round);
  }
  for (std::size_t i = 1; i < track.size(); ++i) {
    const RoundPlan& before = track[i - 1];
    if (track[i].round <= start || before.keep_fraction != end.keep_fraction ||
        before.choices != end.choices)
      continue;
    track[i].is_quantized = true;
    track[i].phase = "quantize";
  }
}

// The last rounds, those on grids.
void average(const ExperimentConfig& config, Track& track) {
  const std::int64_t alone = std::ssize(track) - rounds_of(config.compress.quantize.average, track);
  std::int64_t averaged = 0;
  for (RoundPlan& plan : track) {
    if (plan.is_quantized && plan.round > alone) plan.averaged = ++averaged;
  }
}

void distil(const ExperimentConfig& config, Track& track) {
  const DistillConfig& distill = config.compress.distill;
  const std::int64_t silent = rounds_of(distill.start, track);
  for (RoundPlan& plan : track) {
    plan.distills = distill.teacher != "none" && plan.round > silent;
    if (distill.has_student() && plan.phase == "train") plan.phase = "distill";
  }
}

// Grids are needed before the first quantized round, and again for the finished weights.
void calibrate(const ExperimentConfig& config, Track& track) {
  if (!config.compress.quantizes()) return;
  track.back().calibrates = true;
  for (std::size_t i = 1; i < track.size(); ++i) {
    if (track[i].is_quantized && !track[i - 1].is_quantized) track[i - 1].calibrates = true;
  }
}

void compare(const ExperimentConfig& config, Track& track) {
  track.back().is_compared = config.compress.constraints.min_retention.has_value();
}

// The pipeline's stages, each laid over the rounds that it takes. Exporting and validating follow
// the last round (launch/federation.cpp).
Track main_track(const ExperimentConfig& config) {
  Track track = warm_up(config);
  shrink_and_recover(config, track);
  allocate(config, track);
  quantize(config, track);
  average(config, track);
  distil(config, track);
  calibrate(config, track);
  compare(config, track);
  return track;
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
