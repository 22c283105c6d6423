#include "client/update_gate.h"

#include <array>    // for array
#include <cmath>    // for sqrt, isfinite
#include <cstddef>  // for size_t

namespace coppice {

double update_norm(std::span<const float> update) {
  // Four sums in turn: one would wait for each addition.
  std::array<double, 4> sums{};
  std::size_t i = 0;
  for (; i + sums.size() <= update.size(); i += sums.size()) {
    for (std::size_t k = 0; k < sums.size(); ++k)
      sums[k] += double{update[i + k]} * double{update[i + k]};
  }
  for (; i < update.size(); ++i) sums[0] += double{update[i]} * double{update[i]};
  return std::sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

RefusalReason gate(double norm, const ClientTask& task) {
  if (!std::isfinite(norm)) return RefusalReason::kNotFinite;
  if (task.norm_bound > 0.0 && norm > task.norm_bound) return RefusalReason::kNormAboveBound;
  return RefusalReason::kNone;
}

}  // namespace coppice
