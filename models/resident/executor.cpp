#include "models/resident/executor.h"

#include <algorithm>   // for copy, min
#include <functional>  // for ref
#include <optional>    // for optional
#include <utility>     // for move

#include "core/aligned_buffer.h"
#include "core/error.h"
#include "core/text.h"
#include "models/batch.h"
#include "models/checks.h"
#include "models/fake_quant.h"
#include "models/frozen.h"
#include "models/local_optimizer.h"
#include "models/resident/draft.h"
#include "models/resident/loss.h"
#include "models/resident/plan.h"
#include "models/train_steps.h"

namespace coppice::resident {
namespace {

bool is_fp32(const QuantPlan* plan) { return plan == nullptr || plan->is_empty(); }

std::optional<FakeQuant> grids_of(const Graph& graph, const QuantPlan& plan) {
  std::optional<FakeQuant> grids;
  if (!plan.is_empty()) grids.emplace(graph, plan);
  return grids;
}

class ResidentExecutor final : public Executor {
 public:
  ResidentExecutor(Graph graph, const kernels::LaneKernels& kernels)
      : graph_(std::move(graph)),
        kernels_(kernels),
        turns_images_(has_channels_innermost(graph_, kernels.lanes)),
        batch_(graph_),
        optimizer_(graph_) {}

  std::string_view name() const override { return "resident"; }
  const Graph& graph() const override { return graph_; }
  std::span<const float> parameters() const override { return weights_.span(); }
  void take_parameters(AlignedBuffer& buffer) override;

  std::string refusal(const LocalPlan& plan) const override;
  TrainResult train(const TrainRequest& request) override;
  EvalResult evaluate(const ModelView& model, const SampleSource& source,
                      std::span<const std::int64_t> indices) override;
  std::vector<float> infer(const ModelView& model, std::span<const float> samples) override;
  void observe(const ModelView& model, std::span<const float> samples,
               std::span<const std::string> nodes, const NodeVisitor& visit) override;
  std::optional<MemoryUse> memory(const MemoryQuestion& question) const override;

 private:
  // A plan and what it was made for.
  struct Prepared {
    QuantPlan quant;                     // empty: fp32
    std::optional<FakeQuant> grids;      // of `quant`
    std::optional<MemorySpec> training;  // none: it has no backward pass
    const kernels::LaneKernels* kernels;
    Plan plan;

    Prepared(const Graph& graph, const kernels::LaneKernels& with, const QuantPlan* of,
             const std::optional<MemorySpec>& memory)
        : quant(is_fp32(of) ? QuantPlan() : *of),
          grids(grids_of(graph, quant)),
          training(memory),
          kernels(&with),
          plan(graph, with,
               {.quant = grids ? &*grids : nullptr,
                .memory = memory.value_or(MemorySpec()),
                .trains = memory.has_value()}) {}
    bool suits(const kernels::LaneKernels& with, const QuantPlan* asked,
               const std::optional<MemorySpec>& memory) const {
      const bool is_same = is_fp32(asked) ? quant.is_empty() : quant == *asked;
      return is_same && kernels == &with && (!memory || training == memory);
    }
  };

  // What batches of a local plan are computed with; without one it is many samples.
  const kernels::LaneKernels& kernels_for(const LocalPlan* plan) const;
  // The plan, made anew only if the last one does not suit; no local plan: for a forward pass,
  // which every plan has.
  Prepared& prepared_for(const QuantPlan* quant, const LocalPlan* plan);
  void prepare_arenas(const MemorySpec& memory);

  TrainResult train_on_grids(const TrainRequest& request, Prepared& prepared, LocalLoss& loss);
  const float* on_grids(const FakeQuant& grids, std::span<const float> weights);
  struct StepTask {
    Plan& plan;
    const float* weights;
    LocalLoss& loss;
    const EarlyUpdate* update;  // for batches of one block; may be null
  };
  Scores step(const StepTask& task, const MicroBatch& micro);
  // Runs all samples of batch_ through a plan with the model's grids; `done` sees block by block.
  template <typename Done>
  void run_blocks(const ModelView& model, const Done& done);

  Graph graph_;
  const kernels::LaneKernels& kernels_;
  bool turns_images_;  // then channels fill the lanes, however few samples
  std::unique_ptr<Prepared> prepared_;
  Batch batch_;
  LocalOptimizer optimizer_;
  AlignedBuffer weights_;   // empty before the first training
  AlignedBuffer gradient_;  // less the first frozen_ parameters
  std::int64_t frozen_ = 0;
  AlignedBuffer quantized_;  // weights on their grids; empty until a plan asks for some
  std::vector<float> logits_;
};

std::string ResidentExecutor::refusal(const LocalPlan& plan) const {
  if (std::string reason = refused_term(plan); !reason.empty()) return reason;
  if (std::string reason = refused_memory(name(), graph_, plan); !reason.empty()) return reason;
  return refused_state(name(), plan);
}

void ResidentExecutor::take_parameters(AlignedBuffer& buffer) {
  check_size("parameters", buffer.size(), graph_.parameter_count());
  if (weights_.size() == 0) weights_ = AlignedBuffer(buffer.size());
  std::swap(weights_, buffer);
}

const kernels::LaneKernels& ResidentExecutor::kernels_for(const LocalPlan* plan) const {
  if (plan == nullptr || turns_images_) return kernels_;
  return kernels::lane_kernels_for(kernels_, samples_at_once(*plan));
}

ResidentExecutor::Prepared& ResidentExecutor::prepared_for(const QuantPlan* quant,
                                                           const LocalPlan* plan) {
  const kernels::LaneKernels& with = kernels_for(plan);
  const std::optional<MemorySpec> memory = plan ? std::optional(plan->memory) : std::nullopt;
  if (prepared_ == nullptr || !prepared_->suits(with, quant, memory)) {
    prepared_.reset();  // its arena goes before the next one's comes
    prepared_ = std::make_unique<Prepared>(graph_, with, quant, memory);
  }
  return *prepared_;
}

void ResidentExecutor::prepare_arenas(const MemorySpec& memory) {
  const auto size = static_cast<std::size_t>(graph_.parameter_count());
  if (weights_.size() != size) weights_ = AlignedBuffer(size);
  frozen_ = frozen_part(graph_, memory.freeze_first).parameters;
  const std::size_t trained = size - static_cast<std::size_t>(frozen_);
  if (gradient_.size() == trained) return;
  gradient_ = {};
  gradient_ = AlignedBuffer(trained);
}

const float* ResidentExecutor::on_grids(const FakeQuant& grids, std::span<const float> weights) {
  if (quantized_.size() == 0) quantized_ = AlignedBuffer(weights.size());
  std::ranges::copy(weights, quantized_.data());
  grids.quantize_weights(weights.data(), quantized_.data());
  return quantized_.data();
}

TrainResult ResidentExecutor::train(const TrainRequest& request) {
  check_request(*this, request);
  Prepared& prepared = prepared_for(request.quant, request.plan);
  prepare_arenas(request.plan->memory);
  std::ranges::copy(request.global, weights_.data());
  if (request.plan->mask_rule == MaskRule::kKeepZero) request.mask->apply(weights_.span());
  optimizer_.begin(request);
  LocalLoss loss(request);
  if (prepared.grids) return train_on_grids(request, prepared, loss);
  const EarlyUpdate update = [&](std::int64_t first, std::span<const float> gradient) {
    const auto size = static_cast<std::int64_t>(gradient.size());
    optimizer_.step_part(weights_.data(), gradient.data(), {first, first + size});
  };
  Plan& plan = prepared.plan;
  StepTask task{.plan = plan, .weights = weights_.data(), .loss = loss, .update = nullptr};
  const auto one_step = [&](const MicroBatch& micro) {
    const bool is_one_block =
        micro.batch_size == batch_.size() && batch_.size() <= plan.block_samples();
    task.update = is_one_block && optimizer_.can_step_parts() ? &update : nullptr;
    const Scores scores = step(task, micro);
    if (micro.ends_batch()) {
      optimizer_.step(
          weights_.data(), {.values = gradient_.data(), .begin = frozen_},
          task.update == nullptr ? std::span<const ParameterRange>() : plan.early_parts());
    }
    return scores;
  };
  return train_steps(request, batch_, std::ref(one_step));  // a reference needs no memory
}

TrainResult ResidentExecutor::train_on_grids(const TrainRequest& request, Prepared& prepared,
                                             LocalLoss& loss) {
  return train_steps(request, batch_, [&](const MicroBatch& micro) {
    const float* weights =
        micro.begins_batch() ? on_grids(*prepared.grids, weights_.span()) : quantized_.data();
    const Scores scores =
        step({.plan = prepared.plan, .weights = weights, .loss = loss, .update = nullptr}, micro);
    if (micro.ends_batch()) {
      prepared.grids->stop_saturated(weights_.data(), gradient_.data(), frozen_);
      optimizer_.step(weights_.data(), {.values = gradient_.data(), .begin = frozen_});
    }
    return scores;
  });
}

// Forward and backward of the samples that were read, block by block; the gradient of what was not
// updated early stands in gradient_.
Scores ResidentExecutor::step(const StepTask& task, const MicroBatch& micro) {
  Plan& plan = task.plan;
  const std::int64_t classes = batch_.classes();
  task.loss.begin_batch(micro, classes);
  Scores total;
  for (std::int64_t first = 0; first < batch_.size(); first += plan.block_samples()) {
    Block block = plan.block(batch_.samples(), first, batch_.size());
    block.weights = task.weights;
    block.update = task.update;
    block.gradient = gradient_.data();
    block.gradient_begin = frozen_;
    block.begins_gradient = micro.begins_batch() && first == 0;
    block.first_sample = micro.first + first;
    block.dropout = &micro.dropout;
    plan.forward(block);
    logits_.resize(static_cast<std::size_t>(block.samples * classes));
    plan.read(graph_.nodes().size() - 1, block, logits_.data());
    const Scores scores =
        task.loss.to_gradient(logits_,
                              batch_.labels().subspan(static_cast<std::size_t>(first),
                                                      static_cast<std::size_t>(block.samples)),
                              first);
    total.loss_sum += scores.loss_sum;
    total.correct += scores.correct;
    plan.set_output_gradient(block, logits_.data());
    plan.backward(block);
  }
  return total;
}

template <typename Done>
void ResidentExecutor::run_blocks(const ModelView& model, const Done& done) {
  check_size("parameters", model.parameters.size(), graph_.parameter_count());
  Prepared& prepared = prepared_for(model.quant, nullptr);
  Plan& plan = prepared.plan;
  const float* weights =
      prepared.grids ? on_grids(*prepared.grids, model.parameters) : model.parameters.data();
  for (std::int64_t first = 0; first < batch_.size(); first += plan.block_samples()) {
    Block block = plan.block(batch_.samples(), first, batch_.size());
    block.weights = weights;
    plan.forward(block);
    logits_.resize(static_cast<std::size_t>(block.samples * batch_.classes()));
    plan.read(graph_.nodes().size() - 1, block, logits_.data());
    done(block);
  }
}

EvalResult ResidentExecutor::evaluate(const ModelView& model, const SampleSource& source,
                                      std::span<const std::int64_t> indices) {
  if (indices.empty()) return {};
  batch_.read(source, indices);
  EvalResult result{.labels = batch_.size()};
  run_blocks(model, [&](const Block& block) {
    const Scores scores =
        score(logits_, batch_.labels().subspan(static_cast<std::size_t>(block.first_sample),
                                               static_cast<std::size_t>(block.samples)));
    result.loss_sum += scores.loss_sum;
    result.correct += scores.correct;
  });
  return result;
}

std::vector<float> ResidentExecutor::infer(const ModelView& model, std::span<const float> samples) {
  check_samples(graph_, samples);
  batch_.assign(samples);
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(batch_.size() * batch_.classes()));
  run_blocks(model, [&](const Block&) { out.insert(out.end(), logits_.begin(), logits_.end()); });
  return out;
}

void ResidentExecutor::observe(const ModelView& model, std::span<const float> samples,
                               std::span<const std::string> nodes, const NodeVisitor& visit) {
  check_samples(graph_, samples);
  check_size("parameters", model.parameters.size(), graph_.parameter_count());
  std::vector<std::size_t> watched;
  for (const std::string& name : nodes) {
    const int node = graph_.node_named(name);
    if (node < 0) throw ConfigError(text("observe: the graph has no node '", name, "'"));
    watched.push_back(static_cast<std::size_t>(node));
  }
  if (samples.empty()) return;
  std::optional<FakeQuant> grids;
  if (!is_fp32(model.quant)) grids.emplace(graph_, *model.quant);
  Plan plan(graph_, kernels_, {.quant = grids ? &*grids : nullptr, .keeps_every_node = true});
  batch_.assign(samples);
  const float* weights = grids ? on_grids(*grids, model.parameters) : model.parameters.data();
  std::vector<std::vector<float>> outputs(nodes.size());
  for (std::int64_t first = 0; first < batch_.size(); first += plan.block_samples()) {
    Block block = plan.block(batch_.samples(), first, batch_.size());
    block.weights = weights;
    plan.forward(block);
    for (std::size_t i = 0; i < watched.size(); ++i) {
      const std::int64_t size = element_count(graph_.nodes()[watched[i]].shape);
      outputs[i].resize(static_cast<std::size_t>(batch_.size() * size));
      plan.read(watched[i], block, outputs[i].data() + first * size);
    }
  }
  for (std::size_t node = 0; node < graph_.nodes().size(); ++node) {
    for (std::size_t i = 0; i < watched.size(); ++i) {
      if (watched[i] == node) visit(i, outputs[i]);
    }
  }
}

// Every term is what is allocated, and the sum what is there at the end of a step.
std::optional<MemoryUse> ResidentExecutor::memory(const MemoryQuestion& question) const {
  constexpr std::int64_t kFloat = sizeof(float);
  const LocalPlan* plan = question.plan;
  const std::optional<MemorySpec> training =
      plan == nullptr ? std::nullopt : std::optional(plan->memory);
  std::unique_ptr<Prepared> fresh;
  const kernels::LaneKernels& with = kernels_for(plan);
  if (prepared_ == nullptr || !prepared_->suits(with, question.quant, training) ||
      (plan == nullptr && prepared_->training))
    fresh = std::make_unique<Prepared>(graph_, with, question.quant, training);
  const Prepared& prepared = fresh ? *fresh : *prepared_;
  const std::int64_t at_once =
      plan == nullptr ? question.samples : std::min(samples_at_once(*plan), question.samples);
  const StepMemory steps = prepared.plan.step_memory(at_once);
  const std::int64_t parameters = graph_.parameter_count() * kFloat;
  MemoryUse use;
  use.global_model = parameters;
  use.grids = prepared.grids ? parameters : 0;
  use.activations = prepared.plan.arena_bytes();
  const std::int64_t logits =
      std::min(at_once, prepared.plan.block_samples()) * batch_.classes() * kFloat;
  use.work_space = steps.held_bytes + steps.scratch_floats * kFloat + logits;
  use.samples =
      at_once * (batch_.sample_size() * kFloat + static_cast<std::int64_t>(sizeof(std::int32_t)));
  if (plan == nullptr) return use;
  use.weights = parameters;
  use.gradient = parameters - frozen_part(graph_, plan->memory.freeze_first).parameters * kFloat;
  use.optimizer = LocalOptimizer::state_bytes(graph_, *plan);
  use.samples += question.samples * static_cast<std::int64_t>(sizeof(std::int64_t));
  if (is_distilled(*plan)) use.work_space += at_once * batch_.classes() * kFloat;
  return use;
}

}  // namespace

std::string unsupported_graph(const Graph& graph) { return unsupported(graph); }

std::unique_ptr<Executor> make_resident_executor(Graph graph, const kernels::LaneKernels& kernels) {
  check_logits("resident", graph);
  return std::make_unique<ResidentExecutor>(std::move(graph), kernels);
}

}  // namespace coppice::resident
