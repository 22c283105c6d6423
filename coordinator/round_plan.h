#pragma once
// The rounds of a run, decided before the first: which track, which phase, and how much of the
// model a round may keep at its end. A pure function of the config.
//
// Tracks: "control" (the dense reference, if asked for) runs all its rounds first, then "main"
// does. Both use the same seed, partition and number of rounds.
//
// Phases of the main track: warmup (dense) -> shrink, allocate -> recover -> quantize, or train, or
// distill when a separate student learns. A teacher may be listened to in any of them.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "core/experiment.h"

namespace coppice {

inline constexpr const char* kMainTrack = "main";
inline constexpr const char* kControlTrack = "control";

struct RoundPlan {
  std::string track = kMainTrack;
  std::int64_t round = 1;  // of its track, from 1
  // control | train | warmup | shrink | allocate | recover | quantize | distill
  std::string phase = "train";
  // Parameters left after this round, of the dense model's; never rises within a track.
  double keep_fraction = 1.0;
  // The allocator's choices made after this round, of compress.allocate.steps; never falls within a
  // track.
  std::int64_t choices = 0;
  bool is_quantized = false;  // clients train with the quantization plan
  // Of the rounds whose models are averaged into the finished one: which, from 1; 0: none of them.
  std::int64_t averaged = 0;
  bool calibrates = false;  // after the update, activations are counted and grids chosen
  // With compress.gate: the last choice is judged after the update, and taken back or kept.
  bool gates = false;
  // The finished model is compared with the dense one, for min_retention.
  bool is_compared = false;
  bool distills = false;  // clients learn from the teacher too, if there is one
  bool is_evaluated = true;
  bool is_last_of_track = false;

  friend bool operator==(const RoundPlan&, const RoundPlan&) = default;
};

// Shrinks happen at the end of `prune.steps` rounds, spread evenly from prune.start to prune.end of
// the rounds, the model following the cubic schedule. Whatever the number of rounds, the last
// shrink comes before the last round (or, with one round, at its end). Quantization-aware rounds
// begin after quantize.start of the rounds and after the last shrink and allocation; activations
// are counted at the end of the round before them, and again at the end of the last. With too few
// rounds there are none of them, and the trained model is calibrated only.
//
// With compress.gate, choices are made at the ends of rounds that are gate.recovery_rounds apart,
// from allocate.start to allocate.end, and judged at the next of these rounds, before its own
// choice; at the last one there is only a judgement. allocate.steps then is the size of the first
// step. How far a choice goes, and whether it stays, is ServerState's.
std::vector<RoundPlan> plan_rounds(const ExperimentConfig& config);

}  // namespace coppice
