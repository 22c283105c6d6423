#include "client/update_gate.h"

#include <cmath>  // for sqrt, isfinite

namespace coppice {

double update_norm(std::span<const float> update) {
  double sum = 0.0;
  for (const float value : update) sum += double{value} * double{value};
  return std::sqrt(sum);
}

RefusalReason gate(double norm, const ClientTask& task) {
  if (!std::isfinite(norm)) return RefusalReason::kNotFinite;
  if (task.norm_bound > 0.0 && norm > task.norm_bound) return RefusalReason::kNormAboveBound;
  return RefusalReason::kNone;
}

}  // namespace coppice
