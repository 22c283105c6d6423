#include "algorithms/prune/gradient_scores.h"

namespace coppice {
namespace {

// A half-batch is a batch here: its gradient times the weights is what its loss loses, to first
// order, with the unit. Squared, because gains and losses of different batches are both a change.
class Taylor final : public Pruner {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<double> scores(const Graph& graph, const Coupling& coupling,
                             std::span<const float> parameters,
                             const HalfBatchGradients& gradients) const override {
    std::vector<double> scores(static_cast<std::size_t>(coupling.unit_count));
    visit_gradient_pairs(gradients, parameters.size(),
                         [&](std::span<const float> first, std::span<const float> second) {
                           add_squared_products(graph, coupling, parameters, first, scores);
                           add_squared_products(graph, coupling, parameters, second, scores);
                         });
    return scores;
  }
};

}  // namespace

std::unique_ptr<Pruner> make_taylor() { return std::make_unique<Taylor>(); }

}  // namespace coppice
