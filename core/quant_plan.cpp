#include "core/quant_plan.h"

#include <algorithm>  // for find

namespace coppice {

const WeightQuant* QuantPlan::weight(std::string_view parameter) const {
  const auto found = std::ranges::find(weights, parameter, &WeightQuant::parameter);
  return found == weights.end() ? nullptr : &*found;
}

const ActivationQuant* QuantPlan::activation(std::string_view node) const {
  const auto found = std::ranges::find(activations, node, &ActivationQuant::node);
  return found == activations.end() ? nullptr : &*found;
}

double mean_bits(const QuantPlan& plan, const std::vector<std::int64_t>& sizes,
                 std::int64_t total) {
  if (total == 0) return 0.0;
  double bits = 0.0;
  std::int64_t named = 0;
  for (std::size_t i = 0; i < plan.weights.size(); ++i) {
    bits += static_cast<double>(plan.weights[i].bits) * static_cast<double>(sizes.at(i));
    named += sizes.at(i);
  }
  return (bits + 32.0 * static_cast<double>(total - named)) / static_cast<double>(total);
}

}  // namespace coppice
