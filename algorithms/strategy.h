#pragma once
// What a federated method decides: what clients are asked to do in a round, and what their answers
// mean.
//
// A strategy is pure: same inputs, same result, on any machine. It knows nothing of ranks, networks
// or clocks, and keeps nothing itself: what it must remember between rounds lives in named buffers
// that checkpoints carry.

#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string_view>  // for string_view

#include "core/checkpoint.h"
#include "core/experiment.h"
#include "core/index_map.h"
#include "core/local_plan.h"

namespace coppice {

class Strategy {
 public:
  virtual ~Strategy() = default;

  // Completes the local plan of a round; `plan` holds what the config says (optimizer with the
  // scheduled learning rate, epochs, batch size, clipping).
  virtual void plan(LocalPlan& plan) const = 0;

  // Turns the clients' weighted mean update into the next global parameters, in place. Both have
  // the arena's layout. `state` is what earlier rounds left, empty at first; buffers in the arena's
  // layout are shrunk with the model.
  virtual void apply(std::span<const float> mean_update, std::span<float> global,
                     NamedBuffers& state) const = 0;
};

// Gathers every buffer of the old arena's size through `map`; others are kept as they are.
void shrink_state(NamedBuffers& state, const IndexMap& map);

struct StrategyInfo {
  std::string_view name;
  std::string_view sentence;
};
std::span<const StrategyInfo> known_strategies();

// Throws ConfigError for an unknown name (naming the nearest known one) or a bad parameter.
std::unique_ptr<Strategy> make_strategy(const StrategyConfig& config);

}  // namespace coppice
