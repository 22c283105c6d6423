#include <algorithm>   // for transform
#include <functional>  // for minus

#include "algorithms/prune/gradient_scores.h"

namespace coppice {
namespace {

// 1/2 w^T V w over the unit's weights, V the covariance of one sample's gradient: bend_along()
// (algorithms/curvature.h) for the change that takes the unit away, up to a factor that all units
// share. The difference of two halves does not see the mean gradient, which is small where the
// model has been trained and only noise about which units matter.
class Fisher final : public Pruner {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<double> scores(const Graph& graph, const Coupling& coupling,
                             std::span<const float> parameters,
                             const HalfBatchGradients& gradients) const override {
    std::vector<double> scores(static_cast<std::size_t>(coupling.unit_count));
    std::vector<float> difference(parameters.size());
    visit_gradient_pairs(gradients, parameters.size(),
                         [&](std::span<const float> first, std::span<const float> second) {
                           std::ranges::transform(first, second, difference.begin(),
                                                  std::minus<>());
                           add_squared_products(graph, coupling, parameters, difference, scores);
                         });
    return scores;
  }
};

}  // namespace

std::unique_ptr<Pruner> make_fisher() { return std::make_unique<Fisher>(); }

}  // namespace coppice
