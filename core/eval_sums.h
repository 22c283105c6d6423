#pragma once
// What an evaluation adds up to, as integers, so that it does not depend on who evaluated what.
// Plain value.

#include <array>    // for array
#include <cstdint>  // for int64_t

namespace coppice {

struct EvalSums {
  static constexpr double kLossUnitsPerNat = 1048576.0;  // losses are added in units of 2^-20

  std::int64_t correct = 0;
  std::int64_t labels = 0;
  std::int64_t loss_units = 0;
  // Labels whose batch had no finite loss: they count in `labels`, not in `loss_units`.
  std::int64_t not_finite = 0;

  // One batch's sums; a loss that is not finite or absurdly large (2^40 nats) counts as not finite.
  static EvalSums of_batch(std::int64_t correct, std::int64_t labels, double loss_sum);

  double accuracy() const;  // 0 without labels
  double loss() const;      // mean over the labels with a finite loss; 0 without any

  using Units = std::array<std::int64_t, 4>;  // what travels between ranks
  Units units() const { return {correct, labels, loss_units, not_finite}; }
  static EvalSums of_units(const Units& units) { return {units[0], units[1], units[2], units[3]}; }

  EvalSums& operator+=(const EvalSums& other);
  friend bool operator==(const EvalSums&, const EvalSums&) = default;
};

}  // namespace coppice
