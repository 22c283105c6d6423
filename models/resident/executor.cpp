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
#include "models/local_optimizer.h"
#include "models/resident/loss.h"
#include "models/resident/plan.h"
#include "models/train_steps.h"

namespace coppice::resident {
namespace {

bool is_fp32(const QuantPlan* plan) { return plan == nullptr || plan->is_empty(); }

class ResidentExecutor final : public Executor {
 public:
  ResidentExecutor(Graph graph, const kernels::LaneKernels& kernels)
      : graph_(std::move(graph)),
        kernels_(kernels),
        plan_(graph_, kernels_, {}),
        batch_(graph_),
        optimizer_(graph_),
        weights_(static_cast<std::size_t>(graph_.parameter_count())),
        gradient_(weights_.size()) {}

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

 private:
  // A plan with the grids of a quantization plan in it.
  struct Quantized {
    QuantPlan quant;
    FakeQuant grids;  // of `quant`
    Plan plan;

    Quantized(const Graph& graph, const kernels::LaneKernels& kernels, const QuantPlan& of)
        : quant(of), grids(graph, quant), plan(graph, kernels, {.quant = &grids}) {}
  };

  // Of `quant`, made anew only if the last one was of another; null: fp32.
  Quantized* quantized_for(const QuantPlan* quant);

  TrainResult train_on_grids(const TrainRequest& request, Quantized& quantized, LocalLoss& loss);
  const float* on_grids(const FakeQuant& grids, std::span<const float> weights);
  struct StepTask {
    Plan& plan;
    const float* weights;
    LocalLoss& loss;
    const EarlyUpdate* update;  // for batches of one block; may be null
  };
  Scores step(const StepTask& task, const DropoutKey& dropout,
              std::span<const std::int64_t> indices);
  // Runs all samples of batch_ through a plan with the model's grids; `done` sees block by block.
  template <typename Done>
  void run_blocks(const ModelView& model, const Done& done);

  Graph graph_;
  const kernels::LaneKernels& kernels_;
  Plan plan_;
  std::unique_ptr<Quantized> quantized_plan_;
  Batch batch_;
  LocalOptimizer optimizer_;
  AlignedBuffer weights_;
  AlignedBuffer gradient_;
  AlignedBuffer quantized_;  // weights on their grids; empty until a plan asks for some
  std::vector<float> logits_;
};

std::string ResidentExecutor::refusal(const LocalPlan& plan) const {
  if (std::string reason = refused_term(plan); !reason.empty()) return reason;
  return refused_state(name(), plan);
}

void ResidentExecutor::take_parameters(AlignedBuffer& buffer) {
  check_size("parameters", buffer.size(), graph_.parameter_count());
  std::swap(weights_, buffer);
}

ResidentExecutor::Quantized* ResidentExecutor::quantized_for(const QuantPlan* quant) {
  if (is_fp32(quant)) return nullptr;
  if (quantized_plan_ == nullptr || quantized_plan_->quant != *quant)
    quantized_plan_ = std::make_unique<Quantized>(graph_, kernels_, *quant);
  return quantized_plan_.get();
}

const float* ResidentExecutor::on_grids(const FakeQuant& grids, std::span<const float> weights) {
  if (quantized_.size() == 0) quantized_ = AlignedBuffer(weights.size());
  std::ranges::copy(weights, quantized_.data());
  grids.quantize_weights(weights.data(), quantized_.data());
  return quantized_.data();
}

TrainResult ResidentExecutor::train(const TrainRequest& request) {
  check_request(*this, request);
  std::ranges::copy(request.global, weights_.data());
  if (request.plan->mask_rule == MaskRule::kKeepZero) request.mask->apply(weights_.span());
  optimizer_.begin(request);
  Quantized* quantized = quantized_for(request.quant);
  LocalLoss loss(request);
  if (quantized != nullptr) return train_on_grids(request, *quantized, loss);
  const EarlyUpdate update = [&](std::int64_t first, std::span<const float> gradient) {
    const auto size = static_cast<std::int64_t>(gradient.size());
    optimizer_.step_part(weights_.data(), gradient.data(), {first, first + size});
  };
  StepTask task{.plan = plan_, .weights = weights_.data(), .loss = loss, .update = nullptr};
  const auto one_step = [&](std::span<const std::int64_t> indices, const DropoutKey& dropout) {
    const bool is_one_block = batch_.size() <= plan_.block_samples();
    task.update = is_one_block && optimizer_.can_step_parts() ? &update : nullptr;
    const Scores scores = step(task, dropout, indices);
    optimizer_.step(
        weights_.data(), gradient_.data(),
        task.update == nullptr ? std::span<const ParameterRange>() : plan_.early_parts());
    return scores;
  };
  return train_steps(request, batch_, std::ref(one_step));  // a reference needs no memory
}

TrainResult ResidentExecutor::train_on_grids(const TrainRequest& request, Quantized& quantized,
                                             LocalLoss& loss) {
  return train_steps(
      request, batch_, [&](std::span<const std::int64_t> indices, const DropoutKey& dropout) {
        const Scores scores = step({.plan = quantized.plan,
                                    .weights = on_grids(quantized.grids, weights_.span()),
                                    .loss = loss,
                                    .update = nullptr},
                                   dropout, indices);
        quantized.grids.stop_saturated(weights_.data(), gradient_.data());
        optimizer_.step(weights_.data(), gradient_.data());
        return scores;
      });
}

// Forward and backward of the batch that was read, block by block; the gradient of what was not
// updated early stands in gradient_.
Scores ResidentExecutor::step(const StepTask& task, const DropoutKey& dropout,
                              std::span<const std::int64_t> indices) {
  Plan& plan = task.plan;
  const std::int64_t classes = batch_.classes();
  task.loss.begin_batch(indices, classes);
  Scores total;
  for (std::int64_t first = 0; first < batch_.size(); first += plan.block_samples()) {
    Block block = plan.block(batch_.samples(), first, batch_.size());
    block.weights = task.weights;
    block.update = task.update;
    block.gradient = gradient_.data();
    block.begins_gradient = first == 0;
    block.dropout = &dropout;
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
  Quantized* quantized = quantized_for(model.quant);
  Plan& plan = quantized == nullptr ? plan_ : quantized->plan;
  const float* weights =
      quantized == nullptr ? model.parameters.data() : on_grids(quantized->grids, model.parameters);
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

}  // namespace

std::string unsupported_graph(const Graph& graph) { return unsupported(graph); }

std::unique_ptr<Executor> make_resident_executor(Graph graph, const kernels::LaneKernels& kernels) {
  check_logits("resident", graph);
  return std::make_unique<ResidentExecutor>(std::move(graph), kernels);
}

}  // namespace coppice::resident
