#pragma once
// How much of the dense model's accuracy a compressed one has kept, and how sure that is. Both
// models answer for the same labels; because they mostly err on the same ones, the difference is
// known far better than either accuracy. Pure functions; any thread.

#include <cstdint>   // for int64_t
#include <optional>  // for optional

namespace coppice {

// Labels by which of the two models gives the right class. They add up over clients.
struct OutcomeCounts {
  std::int64_t both = 0;
  std::int64_t only_dense = 0;
  std::int64_t only_compressed = 0;
  std::int64_t neither = 0;

  std::int64_t labels() const { return both + only_dense + only_compressed + neither; }
  friend bool operator==(const OutcomeCounts&, const OutcomeCounts&) = default;
};

// Of fewer labels than this there is an estimate and no interval.
inline constexpr std::int64_t kFewestLabels = 100;

// Accuracy of the compressed model over the dense one's.
struct Retention {
  double estimate = 0.0;
  // With probability `confidence` each, the retention on all data is not below the one and not
  // above the other. Absent of too few labels; the upper one also where the dense model is right so
  // rarely that the labels set no limit.
  std::optional<double> lower_bound = {};
  std::optional<double> upper_bound = {};

  // What a decision goes by: the lower bound; of too few labels the estimate.
  double decisive() const { return lower_bound.value_or(estimate); }
  friend bool operator==(const Retention&, const Retention&) = default;
};

// Nothing if the dense model is never right. One label contributes x = c - rho d, c and d being 1
// where the compressed and the dense model are right: the retention is at least rho if and only if
// E x >= 0. The bounds are the rho at which the mean of x is `z` of its standard errors from 0
// (Fieller 1954 for a ratio of paired means), from the multinomial of the four counts with 1/2
// added to each (Agresti & Min 2005), without which no disagreement at all would count as proof.
// Labels are taken to be independent. Throws ConfigError for negative counts and for a confidence
// outside [0.5, 1).
std::optional<Retention> retention(const OutcomeCounts& counts, double confidence);

// x with P(standard normal <= x) = probability, to 1e-12; probability in [0.5, 1).
double normal_quantile(double probability);

// How far a compression has come, 0 (dense) to 1 (its target), and how far it goes next: counted in
// units of 2^-20, so that a state that is written and read back is the same.
struct StepControl {
  static constexpr std::int64_t kWhole = 1 << 20;

  std::int64_t progress = 0;  // of the last model that passed
  std::int64_t step = 0;      // 0: nothing was tried yet
  bool has_failed = false;    // at any time

  // Where the next choice goes to, `choices` of them being left, this one included (at least 1). As
  // long as none has failed, steps are at least so large that the whole is reached if all pass.
  std::int64_t next(std::int64_t choices) const;

  // After a choice that went to `tried` passed (steps grow by a quarter) or failed (they halve).
  void pass(std::int64_t tried);
  void fail(std::int64_t tried);

  friend bool operator==(const StepControl&, const StepControl&) = default;
};

}  // namespace coppice
