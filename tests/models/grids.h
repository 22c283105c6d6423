#pragma once
// Integer semantics of core/quant_plan.h in double, written once more, and plans for tests.

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/graph.h"
#include "core/quant_plan.h"

namespace coppice {

inline double weight_limit(int bits) { return std::exp2(bits - 1) - 1.0; }

// The value of the code of `w`.
inline double on_grid(double w, double scale, int bits) {
  const double limit = weight_limit(bits);
  return scale * std::clamp(std::nearbyint(w / scale), -limit, limit);
}

inline double on_grid(double x, const ActivationQuant& quant) {
  const double zero = quant.zero_point;
  const double scale = static_cast<double>(quant.scale);
  return scale * (std::clamp(std::nearbyint(x / scale) + zero, 0.0, 255.0) - zero);
}

// Weights of two axes or more: a channel's largest magnitude times `reach` has the largest code.
inline std::vector<WeightQuant> weight_grids(const Graph& graph, std::span<const float> values,
                                             int bits, float reach = 1.0F) {
  std::vector<WeightQuant> grids;
  for (const ParameterSpec& parameter : graph.parameters()) {
    if (parameter.shape.size() < 2) continue;
    WeightQuant quant{.parameter = parameter.name, .bits = bits, .scales = {}};
    const auto row = static_cast<std::size_t>(parameter.size() / parameter.shape[0]);
    for (std::int64_t channel = 0; channel < parameter.shape[0]; ++channel) {
      float largest = 1e-6F;
      for (std::size_t i = 0; i < row; ++i) {
        const auto at = static_cast<std::size_t>(parameter.offset) +
                        static_cast<std::size_t>(channel) * row + i;
        largest = std::max(largest, std::abs(values[at]));
      }
      quant.scales.push_back(reach * largest / static_cast<float>(weight_limit(bits)));
    }
    grids.push_back(std::move(quant));
  }
  return grids;
}

}  // namespace coppice
