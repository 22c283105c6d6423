#include "coordinator/step_control.h"

#include <algorithm>  // for max
#include <cmath>      // for pow
#include <span>       // for span
#include <utility>    // for move

namespace coppice {

GateRecord judge(const ExactSum& outcomes, const CompressConfig& compress) {
  const std::span<const std::int64_t> units = outcomes.units();
  GateRecord gate{.counts = {.both = units[0],
                             .only_dense = units[1],
                             .only_compressed = units[2],
                             .neither = units[3]},
                  .retention = {}};
  gate.retention = retention(gate.counts, compress.gate.confidence);
  gate.has_passed =
      gate.retention && gate.retention->decisive() >= compress.constraints.min_retention.value();
  return gate;
}

double share_of(std::int64_t progress) {
  return static_cast<double>(progress) / static_cast<double>(StepControl::kWhole);
}

void keep_model(ServerState& state, std::int64_t choices, std::int64_t first_step) {
  if (state.steps.step == 0) state.steps.step = std::max<std::int64_t>(1, first_step);
  state.tried = state.steps.next(choices);
  state.before_choice = KeptModel{.graph = state.graph,
                                  .parameters = state.parameters,
                                  .mask = state.mask,
                                  .strategy_state = state.strategy_state,
                                  .weight_bits = state.weight_bits};
}

double slack_of(const ServerState& state) { return std::pow(1.0 - share_of(state.tried), 3); }

void settle(ServerState& state, bool has_passed) {
  if (!state.before_choice) return;
  if (has_passed) {
    state.steps.pass(state.tried);
  } else {
    state.steps.fail(state.tried);
    KeptModel& kept = *state.before_choice;
    // What clients left out of a narrower model has no place in this one.
    if (kept.graph != state.graph) state.transport.residuals.clear();
    state.graph = std::move(kept.graph);
    state.parameters = std::move(kept.parameters);
    state.mask = std::move(kept.mask);
    state.strategy_state = std::move(kept.strategy_state);
    state.weight_bits = std::move(kept.weight_bits);
    state.transport.broadcast = {};  // no change of what clients hold: all of it goes out again
    ++state.mask_epoch;
  }
  state.before_choice.reset();
}

}  // namespace coppice
