#include "models/layer_times.h"

#include <algorithm>  // for min

#include "core/aligned_buffer.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "core/text.h"
#include "core/thread_time.h"
#include "models/resident/plan.h"

namespace coppice {
namespace {

std::vector<float> generated(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  RandomStream random({.seed = 1, .purpose = Purpose::kGenerated});
  for (float& value : values) value = static_cast<float>(random.next_normal());
  return values;
}

LayerTimes described(const Graph& graph, const resident::PlanStep& step, std::int64_t samples) {
  const Node& node = graph.nodes()[step.node];
  LayerTimes times{.name = node.name,
                   .operation = text(op_info(node.op).name, step.suffix),
                   .layout = step.has_channels_innermost ? "channels" : "samples",
                   .forward_seconds = {},
                   .backward_seconds = {}};
  if (step.suffix.empty()) {
    times.forward_operations = 2 * graph.cost(node).macs * samples;
    times.backward_operations = times.forward_operations * (step.writes_input_gradient ? 2 : 1);
  }
  return times;
}

}  // namespace

StepTimes time_step(const Graph& graph, std::int64_t batch_size, int runs) {
  resident::Plan plan(graph, kernels::lane_kernels(), {});
  const std::int64_t samples = std::min(batch_size, plan.block_samples());
  const std::vector<float> rows = generated(samples * element_count(graph.input().shape));
  const std::vector<float> output_gradient =
      generated(samples * element_count(graph.output().shape));
  const ParameterArena weights = initial_parameters(graph, 1);
  AlignedBuffer gradient(static_cast<std::size_t>(graph.parameter_count()));
  const DropoutKey dropout{.seed = 1, .client = 0, .round = 1, .step = 0};
  resident::Block block = plan.block(rows, 0, samples);
  block.weights = weights.values().data();
  block.gradient = gradient.data();
  block.dropout = &dropout;

  const std::vector<resident::PlanStep>& steps = plan.steps();
  StepTimes out{.samples = samples, .layers = {}};
  std::vector<LayerTimes>& times = out.layers;
  for (const resident::PlanStep& step : steps) times.push_back(described(graph, step, samples));
  for (int run = 0; run <= runs; ++run) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double begin = thread_seconds();
      steps[i].step->forward(block);
      if (run > 0) times[i].forward_seconds.push_back(thread_seconds() - begin);
    }
    plan.set_output_gradient(block, output_gradient.data());
    for (std::size_t i = steps.size(); i-- > 0;) {
      if (!steps[i].trains) continue;
      const double begin = thread_seconds();
      steps[i].step->backward(block);
      if (run > 0) times[i].backward_seconds.push_back(thread_seconds() - begin);
    }
  }
  return out;
}

}  // namespace coppice
