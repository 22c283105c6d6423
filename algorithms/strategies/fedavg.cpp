#include "algorithms/server_step.h"
#include "algorithms/strategy.h"

namespace coppice {
namespace {

// McMahan et al. 2017, algorithm 1: w <- w + sum_k (n_k / n) (w_k - w).
class FedAvg final : public Strategy {
 public:
  explicit FedAvg(const StrategyConfig& config) : config_(config) { check_server_step(config); }

  void plan(LocalPlan&) const override {}

  void apply(std::span<const float> mean_update, std::span<float> global,
             NamedBuffers& state) const override {
    server_step(config_, mean_update, global, state);
  }

 private:
  StrategyConfig config_;
};

}  // namespace

std::unique_ptr<Strategy> make_fedavg(const StrategyConfig& config) {
  return std::make_unique<FedAvg>(config);
}

}  // namespace coppice
