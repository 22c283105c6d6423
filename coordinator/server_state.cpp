#include "coordinator/server_state.h"

namespace coppice {
namespace {

// Among the strategy's buffers in a checkpoint; no strategy has one of this name.
constexpr const char* kTeacher = "coppice.teacher";
constexpr const char* kTeacherRound = "coppice.teacher_round";

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
  checkpoint.server_state = state.strategy_state;
  if (!state.teacher.empty()) {
    checkpoint.server_state[kTeacher] = state.teacher;
    checkpoint.server_state[kTeacherRound] = {static_cast<float>(state.teacher_round)};
  }
  return checkpoint;
}

ServerState from_checkpoint(Checkpoint checkpoint, std::int64_t position, double norm_median) {
  std::vector<float> teacher = take_buffer(checkpoint.server_state, kTeacher);
  const std::vector<float> round = take_buffer(checkpoint.server_state, kTeacherRound);
  return {.graph = std::move(checkpoint.graph),
          .parameters = std::move(checkpoint.parameters),
          .strategy_state = std::move(checkpoint.server_state),
          .plan = std::move(checkpoint.plan),
          .teacher = std::move(teacher),
          .teacher_round = round.empty() ? 0 : static_cast<std::int64_t>(round.front()),
          .position = position,
          .mask_epoch = checkpoint.mask_epoch,
          .norm_median = norm_median};
}

}  // namespace coppice
