#include "coordinator/server_state.h"

namespace coppice {
namespace {

// Among the strategy's buffers in a checkpoint; no strategy has one of this name.
constexpr const char* kTeacher = "coppice.teacher";
constexpr const char* kTeacherRound = "coppice.teacher_round";
constexpr const char* kAllocation = "coppice.allocation";  // choices made, then the bits
constexpr const char* kPosterior = "coppice.mask_posterior";

std::vector<float> take_buffer(NamedBuffers& buffers, const char* name) {
  const auto found = buffers.find(name);
  if (found == buffers.end()) return {};
  std::vector<float> values = std::move(found->second);
  buffers.erase(found);
  return values;
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
  if (!state.weight_bits.empty()) {
    std::vector<float>& allocation = checkpoint.server_state[kAllocation];
    allocation.push_back(static_cast<float>(state.choices));
    for (const int bits : state.weight_bits) allocation.push_back(static_cast<float>(bits));
  }
  if (!state.mask_posterior.empty()) checkpoint.server_state[kPosterior] = state.mask_posterior;
  return checkpoint;
}

ServerState from_checkpoint(Checkpoint checkpoint, std::int64_t position, double norm_median) {
  std::vector<float> teacher = take_buffer(checkpoint.server_state, kTeacher);
  const std::vector<float> round = take_buffer(checkpoint.server_state, kTeacherRound);
  const std::vector<float> allocation = take_buffer(checkpoint.server_state, kAllocation);
  std::vector<float> posterior = take_buffer(checkpoint.server_state, kPosterior);
  std::vector<int> bits;
  for (std::size_t i = 1; i < allocation.size(); ++i)
    bits.push_back(static_cast<int>(allocation[i]));
  return {.graph = std::move(checkpoint.graph),
          .parameters = std::move(checkpoint.parameters),
          .mask = std::move(checkpoint.mask).value_or(Mask()),
          .strategy_state = std::move(checkpoint.server_state),
          .weight_bits = std::move(bits),
          .choices = allocation.empty() ? 0 : static_cast<std::int64_t>(allocation.front()),
          .mask_posterior = std::move(posterior),
          .plan = std::move(checkpoint.plan),
          .teacher = std::move(teacher),
          .teacher_round = round.empty() ? 0 : static_cast<std::int64_t>(round.front()),
          .position = position,
          .mask_epoch = checkpoint.mask_epoch,
          .norm_median = norm_median};
}

}  // namespace coppice
