#include "algorithms/server_step.h"
#include "algorithms/strategy.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// Li et al. 2020, algorithm 2: FedAvg whose clients minimise F_k(w) + (mu/2) ||w - w_t||^2.
class FedProx final : public Strategy {
 public:
  explicit FedProx(const StrategyConfig& config) : config_(config) {
    check_server_step(config);
    if (!(config.mu >= 0.0))
      throw ConfigError(text("strategy fedprox: expected mu >= 0, got ", config.mu));
  }

  void plan(LocalPlan& plan) const override { plan.prox_mu = config_.mu; }

  void apply(std::span<const float> mean_update, std::span<float> global,
             NamedBuffers& state) const override {
    server_step(config_, mean_update, global, state);
  }

 private:
  StrategyConfig config_;
};

}  // namespace

std::unique_ptr<Strategy> make_fedprox(const StrategyConfig& config) {
  return std::make_unique<FedProx>(config);
}

}  // namespace coppice
