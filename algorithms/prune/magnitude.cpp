#include "algorithms/pruner.h"

namespace coppice {
namespace {

class Magnitude final : public Pruner {
 public:
  std::vector<double> scores(const Graph& graph, const Coupling& coupling,
                             std::span<const float> parameters,
                             const HalfBatchGradients&) const override {
    return unit_magnitudes(graph, coupling, parameters);
  }
};

}  // namespace

std::unique_ptr<Pruner> make_magnitude() { return std::make_unique<Magnitude>(); }

}  // namespace coppice
