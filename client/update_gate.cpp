#include "client/update_gate.h"

#include <cmath>  // for isfinite

namespace coppice {

RefusalReason gate(double norm, const ClientTask& task) {
  if (!std::isfinite(norm)) return RefusalReason::kNotFinite;
  if (task.norm_bound > 0.0 && norm > task.norm_bound) return RefusalReason::kNormAboveBound;
  return RefusalReason::kNone;
}

}  // namespace coppice
