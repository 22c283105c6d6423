#include "algorithms/server_step.h"

#include <string>  // for string
#include <vector>  // for vector

#include "core/error.h"
#include "core/text.h"

namespace coppice {

void server_step(const StrategyConfig& config, std::span<const float> mean_update,
                 std::span<float> global, NamedBuffers& state) {
  const auto lr = static_cast<float>(config.server_lr);
  if (config.server_momentum == 0.0) {
    for (std::size_t i = 0; i < global.size(); ++i) global[i] += lr * mean_update[i];
    return;
  }
  std::vector<float>& velocity = state["server_momentum"];
  velocity.resize(global.size());
  const auto momentum = static_cast<float>(config.server_momentum);
  for (std::size_t i = 0; i < global.size(); ++i) {
    velocity[i] = momentum * velocity[i] + mean_update[i];
    global[i] += lr * velocity[i];
  }
}

void check_server_step(const StrategyConfig& config) {
  if (!(config.server_lr > 0.0) ||
      !(config.server_momentum >= 0.0 && config.server_momentum < 1.0)) {
    throw ConfigError(text("strategy ", config.name,
                           ": expected server_lr > 0 and server_momentum in [0, 1), got ",
                           config.server_lr, " and ", config.server_momentum));
  }
}

}  // namespace coppice
