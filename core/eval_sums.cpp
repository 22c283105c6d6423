#include "core/eval_sums.h"

#include <cmath>  // for llround, isfinite

namespace coppice {

EvalSums EvalSums::of_batch(std::int64_t correct, std::int64_t labels, double loss_sum) {
  const bool is_countable = std::isfinite(loss_sum) && std::abs(loss_sum) < 0x1p40;
  if (!is_countable) return {correct, labels, 0, labels};
  return {correct, labels, std::llround(loss_sum * kLossUnitsPerNat), 0};
}

double EvalSums::accuracy() const {
  return labels == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(labels);
}

double EvalSums::loss() const {
  const std::int64_t counted = labels - not_finite;
  return counted == 0
             ? 0.0
             : static_cast<double>(loss_units) / kLossUnitsPerNat / static_cast<double>(counted);
}

EvalSums& EvalSums::operator+=(const EvalSums& other) {
  correct += other.correct;
  labels += other.labels;
  loss_units += other.loss_units;
  not_finite += other.not_finite;
  return *this;
}

}  // namespace coppice
