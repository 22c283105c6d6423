#include "coordinator/round_tasks.h"

#include <algorithm>  // for max

#include "algorithms/quantize.h"
#include "coordinator/client_rows.h"

namespace coppice {
namespace {

void count_once_a_client(ClientTask& task) {
  task.max_weight = std::max<std::int64_t>(1, static_cast<std::int64_t>(task.cohort.size()));
}

}  // namespace

void add_distillation(const DistillConfig& distill, LocalPlan& plan) {
  plan.loss_terms = {{.kind = LossKind::kCrossEntropy, .weight = 1.0 - distill.weight},
                     {.kind = LossKind::kDistillation,
                      .weight = distill.weight,
                      .temperature = distill.temperature}};
  if (distill.feature.empty()) return;
  plan.loss_terms.push_back({.kind = LossKind::kFeatureMatching,
                             .weight = distill.feature_weight,
                             .buffer = distill.feature});
}

ClientTask follow_up_task(const ClientTask& first, const ServerState& state,
                          const RoundRecord& record) {
  ClientTask task;
  task.round = first.round;
  task.track = first.track;
  task.model_version = state.position;
  task.mask_epoch = state.mask_epoch;
  task.codec = first.codec;
  task.codec_options = first.codec_options;
  task.cohort = accepted_clients(record);
  return task;
}

ClientTask calibration_task(ClientTask follow_up, const ServerState& state,
                            const QuantizeConfig& quantize) {
  count_once_a_client(follow_up);
  follow_up.calibration = CalibrationRequest{.nodes = quantized_nodes(state.graph),
                                             .samples = quantize.calibration_samples,
                                             .grid = {25, 0}};
  return follow_up;
}

ClientTask gate_task(ClientTask follow_up) {
  count_once_a_client(follow_up);
  follow_up.gate = GateRequest{};
  return follow_up;
}

}  // namespace coppice
