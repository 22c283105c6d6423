#include "models/checks.h"

#include <string>  // for to_string

#include "core/error.h"
#include "core/text.h"
#include "models/frozen.h"
#include "models/train_steps.h"

namespace coppice {

void check_logits(std::string_view executor, const Graph& graph) {
  if (graph.nodes().empty())
    throw ConfigError(text("executor ", executor, ": the graph has no nodes"));
  const Shape& shape = graph.output().shape;
  if (shape.size() > 2 || element_count(shape) / shape.back() != graph.input().labels_per_sample) {
    throw ConfigError(text("executor ", executor,
                           ": expected logits of {classes} or {steps, classes} for ",
                           graph.input().labels_per_sample, " label(s) a sample, layer '",
                           graph.output().name, "' gives ", shape_text(shape)));
  }
}

void check_size(std::string_view what, std::size_t got, std::int64_t expected) {
  if (static_cast<std::int64_t>(got) != expected) {
    throw ConfigError(text(what, ": expected ", expected, " floats, got ", got));
  }
}

std::string refused_state(std::string_view executor, const LocalPlan& plan) {
  if (plan.keep_state.empty()) return {};
  return text("keep_state: executor ", executor,
              " keeps no state of a client between rounds, asked for ",
              join(std::span<const std::string>(plan.keep_state)));
}

std::string refused_memory(std::string_view executor, const Graph& graph, const LocalPlan& plan) {
  const MemorySpec& memory = plan.memory;
  if (memory.micro_batch < 0)
    return text("train.memory.micro_batch: expected >= 0, got ", memory.micro_batch);
  if (memory.saved_bits != 32 && memory.saved_bits != 8)
    return text("train.memory.saved_bits: expected 32 or 8, got ", memory.saved_bits);
  const std::int64_t layers = weight_layers(graph);
  if (memory.freeze_first < 0 || (memory.freeze_first > 0 && memory.freeze_first >= layers)) {
    return text("train.memory.freeze_first: expected less than the ", layers,
                " layers with weights, for one has to learn; got ", memory.freeze_first);
  }
  if (samples_at_once(plan) < plan.batch_size) {
    for (const LossTerm& term : plan.loss_terms) {
      if (term.kind == LossKind::kFeatureMatching) {
        return "train.memory.micro_batch: loss term feature matching compares all samples of a "
               "batch with each other";
      }
    }
  }
  const char* key = memory.relu_bits          ? "relu_bits"
                    : memory.fused_pools      ? "fused_pools"
                    : memory.saved_bits != 32 ? "saved_bits"
                                              : nullptr;
  if (executor == "resident" || key == nullptr) return {};
  return text("train.memory.", key, ": executor ", executor,
              " leaves to its library what is kept for the backward pass; resident can choose");
}

void check_request(const Executor& executor, const TrainRequest& request) {
  if (request.plan == nullptr || request.source == nullptr)
    throw ConfigError("train: no plan or no samples given");
  const LocalPlan& plan = *request.plan;
  if (const std::string reason = executor.refusal(plan); !reason.empty()) throw ConfigError(reason);
  const Graph& graph = executor.graph();
  if (request.source->size < 1)
    throw ConfigError(text("client ", request.client, " has no training samples"));
  if (plan.batch_size < 1)
    throw ConfigError(text("batch_size: expected >= 1, got ", plan.batch_size));
  if (plan.epochs < 0 || plan.steps < 0 || (plan.epochs == 0) == (plan.steps == 0)) {
    throw ConfigError(text("a plan has either epochs or steps: got epochs ", plan.epochs,
                           " and steps ", plan.steps));
  }
  check_size("global model", request.global.size(), graph.parameter_count());
  const bool has_correction = !plan.linear_correction.empty();
  check_size("linear_correction", request.linear_correction.size(),
             has_correction ? graph.parameter_count() : 0);
  if (plan.mask_rule == MaskRule::kKeepZero) {
    const std::int64_t bits = request.mask == nullptr ? -1 : request.mask->size();
    if (bits != graph.parameter_count()) {
      throw ConfigError(text("mask: expected ", graph.parameter_count(), " bits, got ",
                             bits < 0 ? "none" : std::to_string(bits)));
    }
  }
}

void check_samples(const Graph& graph, std::span<const float> samples) {
  const auto sample_size = static_cast<std::size_t>(element_count(graph.input().shape));
  if (samples.size() % sample_size != 0) {
    throw ConfigError(text("samples: expected a multiple of ", sample_size, " floats (",
                           shape_text(graph.input().shape), " a sample), got ", samples.size()));
  }
}

}  // namespace coppice
