#include "coordinator/server_state.h"

#include <string>       // for string
#include <string_view>  // for string_view
#include <utility>      // for move

namespace coppice {
namespace {

// Among the strategy's buffers in a checkpoint; no strategy has one of this name.
constexpr const char* kTeacher = "coppice.teacher";
constexpr const char* kTeacherRound = "coppice.teacher_round";
constexpr const char* kAllocation = "coppice.allocation";  // choices made, then the bits
constexpr const char* kSteps = "coppice.steps";  // progress, step, whether one failed, tried
// Of the model before a choice that is not judged yet; buffers of the strategy follow the last.
constexpr const char* kKeptParameters = "coppice.kept.parameters";
constexpr const char* kKeptMask = "coppice.kept.mask";  // 0s and 1s
constexpr const char* kKeptBits = "coppice.kept.bits";
constexpr const char* kKeptStrategy = "coppice.kept.strategy.";
constexpr const char* kPosterior = "coppice.mask_posterior";
constexpr const char* kAveraged = "coppice.averaged";

std::vector<float> take_buffer(NamedBuffers& buffers, const char* name) {
  const auto found = buffers.find(name);
  if (found == buffers.end()) return {};
  std::vector<float> values = std::move(found->second);
  buffers.erase(found);
  return values;
}

void add_steps(const ServerState& state, NamedBuffers& out) {
  const StepControl& steps = state.steps;
  if (steps == StepControl() && !state.before_choice) return;
  out[kSteps] = {static_cast<float>(steps.progress), static_cast<float>(steps.step),
                 steps.has_failed ? 1.0F : 0.0F, static_cast<float>(state.tried)};
  if (!state.before_choice) return;
  const KeptModel& kept = *state.before_choice;
  out[kKeptParameters] = kept.parameters;
  for (std::int64_t i = 0; i < kept.mask.size(); ++i)
    out[kKeptMask].push_back(kept.mask.keeps(i) ? 1.0F : 0.0F);
  for (const int bits : kept.weight_bits) out[kKeptBits].push_back(static_cast<float>(bits));
  for (const auto& [name, values] : kept.strategy_state) out[kKeptStrategy + name] = values;
}

// `graph` is that of the kept model, if there is one.
void take_steps(NamedBuffers& buffers, Graph graph, ServerState& state) {
  const std::vector<float> steps = take_buffer(buffers, kSteps);
  if (steps.size() != 4) return;
  state.steps = {.progress = static_cast<std::int64_t>(steps[0]),
                 .step = static_cast<std::int64_t>(steps[1]),
                 .has_failed = steps[2] != 0.0F};
  state.tried = static_cast<std::int64_t>(steps[3]);
  if (!buffers.contains(kKeptParameters)) return;
  KeptModel& kept = state.before_choice.emplace();
  kept.graph = std::move(graph);
  kept.parameters = take_buffer(buffers, kKeptParameters);
  const std::vector<float> mask = take_buffer(buffers, kKeptMask);
  kept.mask = Mask(std::ssize(mask));
  for (std::size_t i = 0; i < mask.size(); ++i)
    kept.mask.set(static_cast<std::int64_t>(i), mask[i] != 0.0F);
  for (const float bits : take_buffer(buffers, kKeptBits))
    kept.weight_bits.push_back(static_cast<int>(bits));
  const std::string_view prefix = kKeptStrategy;
  for (auto buffer = buffers.lower_bound(kKeptStrategy);
       buffer != buffers.end() && buffer->first.starts_with(prefix);) {
    kept.strategy_state[buffer->first.substr(prefix.size())] = std::move(buffer->second);
    buffer = buffers.erase(buffer);
  }
}

}  // namespace

Checkpoint to_checkpoint(const ServerState& state, std::int64_t round) {
  Checkpoint checkpoint;
  checkpoint.graph = state.graph;
  checkpoint.parameters = state.parameters;
  checkpoint.round = round;
  checkpoint.mask_epoch = state.mask_epoch;
  checkpoint.plan = state.plan;
  if (state.mask.size() > 0) checkpoint.mask = state.mask;
  checkpoint.server_state = state.strategy_state;
  if (!state.teacher.empty()) {
    checkpoint.server_state[kTeacher] = state.teacher;
    checkpoint.server_state[kTeacherRound] = {static_cast<float>(state.teacher_round)};
  }
  if (!state.weight_bits.empty() || state.choices > 0) {
    std::vector<float>& allocation = checkpoint.server_state[kAllocation];
    allocation.push_back(static_cast<float>(state.choices));
    for (const int bits : state.weight_bits) allocation.push_back(static_cast<float>(bits));
  }
  add_steps(state, checkpoint.server_state);
  if (state.before_choice && state.before_choice->graph != state.graph)
    checkpoint.kept_graph = state.before_choice->graph;
  write_transport(state.transport, checkpoint.server_state);
  if (!state.averaged.empty()) checkpoint.server_state[kAveraged] = state.averaged;
  if (!state.mask_posterior.empty()) checkpoint.server_state[kPosterior] = state.mask_posterior;
  return checkpoint;
}

ServerState from_checkpoint(Checkpoint checkpoint, std::int64_t position, double norm_median) {
  std::vector<float> teacher = take_buffer(checkpoint.server_state, kTeacher);
  const std::vector<float> round = take_buffer(checkpoint.server_state, kTeacherRound);
  const std::vector<float> allocation = take_buffer(checkpoint.server_state, kAllocation);
  std::vector<float> posterior = take_buffer(checkpoint.server_state, kPosterior);
  std::vector<float> averaged = take_buffer(checkpoint.server_state, kAveraged);
  TransportState transport = take_transport(checkpoint.server_state);
  std::vector<int> bits;
  for (std::size_t i = 1; i < allocation.size(); ++i)
    bits.push_back(static_cast<int>(allocation[i]));
  ServerState state{
      .graph = std::move(checkpoint.graph),
      .parameters = std::move(checkpoint.parameters),
      .mask = std::move(checkpoint.mask).value_or(Mask()),
      .strategy_state = {},
      .weight_bits = std::move(bits),
      .choices = allocation.empty() ? 0 : static_cast<std::int64_t>(allocation.front()),
      .mask_posterior = std::move(posterior),
      .averaged = std::move(averaged),
      .plan = std::move(checkpoint.plan),
      .teacher = std::move(teacher),
      .teacher_round = round.empty() ? 0 : static_cast<std::int64_t>(round.front()),
      .position = position,
      .mask_epoch = checkpoint.mask_epoch,
      .transport = std::move(transport),
      .norm_median = norm_median};
  take_steps(checkpoint.server_state, std::move(checkpoint.kept_graph).value_or(state.graph),
             state);
  state.strategy_state = std::move(checkpoint.server_state);
  return state;
}

}  // namespace coppice
