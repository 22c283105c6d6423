#include "algorithms/prune/gradient_scores.h"

#include <cmath>  // for isfinite

#include "core/error.h"
#include "core/text.h"

namespace coppice {

void visit_gradient_pairs(const HalfBatchGradients& gradients, std::size_t parameters,
                          const GradientPairVisitor& visit) {
  if (parameters == 0 || gradients.values.size() % (2 * parameters) != 0) {
    throw ConfigError(text("scores of units: expected pairs of gradients of ", parameters,
                           " values, got ", gradients.values.size(), " values"));
  }
  for (auto rest = gradients.values; !rest.empty(); rest = rest.subspan(2 * parameters))
    visit(rest.first(parameters), rest.subspan(parameters, parameters));
}

void add_squared_products(const Graph& graph, const Coupling& coupling,
                          std::span<const float> parameters, std::span<const float> gradient,
                          std::vector<double>& scores) {
  const std::vector<double> products = unit_products(graph, coupling, parameters, gradient);
  for (std::size_t unit = 0; unit < scores.size(); ++unit) {
    const double square = products[unit] * products[unit];
    if (std::isfinite(square)) scores[unit] += square;
  }
}

}  // namespace coppice
