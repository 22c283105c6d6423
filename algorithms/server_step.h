#pragma once
// The server's step on a mean update, shared by the strategies that average.

#include <span>  // for span

#include "core/checkpoint.h"
#include "core/experiment.h"

namespace coppice {

// FedAvgM (Hsu et al. 2019): v <- momentum * v + mean_update; w <- w + lr * v. Without momentum no
// state is kept.
void server_step(const StrategyConfig& config, std::span<const float> mean_update,
                 std::span<float> global, NamedBuffers& state);

// Throws ConfigError unless server_lr > 0 and server_momentum is in [0, 1).
void check_server_step(const StrategyConfig& config);

}  // namespace coppice
