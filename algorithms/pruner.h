#pragma once
// Which channels go. A pruner scores coupling units at a client; the scores become a ballot,
// ballots are summed exactly over the cohort, and the sums decide. All pure functions: same inputs,
// same bits.

#include <cstdint>      // for int64_t
#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/coupling.h"
#include "core/graph.h"

namespace coppice {

// Mean gradients of disjoint halves of a client's batches at the parameters that are scored, one
// after the other in the arena's layout, two of them a batch.
struct HalfBatchGradients {
  std::span<const float> values;
  std::int64_t half_batch = 0;  // samples of a half
};

class Pruner {
 public:
  virtual ~Pruner() = default;

  // Whether scores need more than the parameters.
  virtual bool needs_gradients() const { return false; }

  // One finite score a unit, larger is more worth keeping, from parameters after local training
  // (arena layout of `graph`). `gradients` is empty for those that need none, and where a client
  // has fewer than two samples: then all scores are 0. A gradient that is not finite counts as 0.
  virtual std::vector<double> scores(const Graph& graph, const Coupling& coupling,
                                     std::span<const float> parameters,
                                     const HalfBatchGradients& gradients) const = 0;
};

struct PrunerInfo {
  std::string_view name;
  std::string_view sentence;
};
std::span<const PrunerInfo> known_pruners();
std::unique_ptr<Pruner> make_pruner(std::string_view name);  // throws ConfigError, naming the
                                                             // nearest known one

// How many units each group keeps so that at most `max_parameters` remain (or, if even that is too
// many, one unit in every prunable group, or the multiple). Group g loses the fraction min(1,
// strength * share_g) of its units, where share_g is what its units hold of the parameters, and the
// strength is the least that fits: the removal of least sum of squared fractions for a number of
// parameters, to first order (Lagrange). Narrow layers with few parameters are hardly touched. A
// group's kept channels are rounded up to a multiple of `multiple`, or to all it has, whichever are
// fewer: a group that is narrower keeps all. That is part of the search, so that the limit holds
// for what is rounded. One count a group. Throws ConfigError for a multiple below 1.
std::vector<std::int64_t> keep_counts(const Graph& graph, const Coupling& coupling,
                                      std::int64_t max_parameters, std::int64_t multiple = 1);

// 1 for the keep_counts[g] units of each group with the largest scores (ties: the lower unit), 0
// for the others.
std::vector<float> make_ballot(const Coupling& coupling, std::span<const double> scores,
                               std::span<const std::int64_t> keep_counts);

// The choice that shrink() takes: in each group the units with the most votes; ties go to the
// larger `global_scores`, then to the lower unit. `votes` are the exact sums of weighted ballots.
std::vector<std::uint8_t> count_votes(const Coupling& coupling, std::span<const std::int64_t> votes,
                                      std::span<const double> global_scores,
                                      std::span<const std::int64_t> keep_counts);

// Fraction of the dense model's parameters that remain after `done` of `steps` shrinks on the way
// to `target`: target + (1 - target) (1 - done/steps)^3 (Zhu & Gupta 2017, eq. 1, for density).
double cubic_keep_fraction(double target, std::int64_t done, std::int64_t steps);

}  // namespace coppice
