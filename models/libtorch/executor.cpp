#include "models/libtorch/executor.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include <algorithm>  // for copy, fill, min
#include <optional>   // for optional
#include <utility>    // for move

#include "core/aligned_buffer.h"
#include "core/error.h"
#include "core/text.h"
#include "models/batch.h"
#include "models/checks.h"
#include "models/fake_quant.h"
#include "models/frozen.h"
#include "models/libtorch/arena_tensors.h"
#include "models/libtorch/cross_entropy.h"
#include "models/libtorch/forward.h"
#include "models/libtorch/local_loss.h"
#include "models/local_optimizer.h"
#include "models/train_steps.h"

namespace coppice::libtorch {
namespace {

constexpr std::int64_t kInferenceBatch = 256;  // bounds the memory of activations

// Runs `work`, turning LibTorch's exceptions into ours.
template <typename Work>
auto guarded(const char* where, Work&& work) {
  at::get_num_threads();  // a thread's first call applies the process's thread count to it
  try {
    return work();
  } catch (const c10::Error& error) {
    throw KernelError(text("executor libtorch, ", where, ": ", error.what_without_backtrace()));
  }
}

// The tensors that a forward pass reads, and the grids of its node outputs.
struct Operands {
  std::vector<at::Tensor> parameters;  // the graph's; those the plan quantizes lie over quantized_
  std::optional<FakeQuant> quant;      // none: fp32

  const FakeQuant* grids() const { return quant ? &*quant : nullptr; }
};

class LibtorchExecutor final : public Executor {
 public:
  explicit LibtorchExecutor(Graph graph)
      : graph_(std::move(graph)),
        forward_(graph_),
        batch_(graph_),
        optimizer_(graph_),
        weights_(static_cast<std::size_t>(graph_.parameter_count())),
        gradient_(weights_.size()),
        leaves_(trainable_leaves(graph_, weights_.data(), gradient_.data())) {}

  std::string_view name() const override { return "libtorch"; }
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
  std::optional<MemoryUse> memory(const MemoryQuestion&) const override { return std::nullopt; }

 private:
  TrainResult run_steps(const TrainRequest& request);
  Scores step(const Operands& operands, LocalLoss& loss, const MicroBatch& micro);
  at::Tensor logits(const Operands& operands, ForwardOptions options);
  Operands training_operands(const TrainRequest& request);
  Operands evaluation_operands(const ModelView& model);

  Graph graph_;
  Forward forward_;
  Batch batch_;
  LocalOptimizer optimizer_;
  AlignedBuffer weights_;
  AlignedBuffer gradient_;
  AlignedBuffer evaluated_;  // parameters that came unaligned
  AlignedBuffer quantized_;  // weights on their grids; empty until a plan asks for some
  std::vector<at::Tensor> leaves_;
};

std::string LibtorchExecutor::refusal(const LocalPlan& plan) const {
  if (std::string reason = refused_term(graph_, plan); !reason.empty()) return reason;
  if (std::string reason = refused_memory(name(), graph_, plan); !reason.empty()) return reason;
  return refused_state(name(), plan);
}

// The leaves lie over weights_.
void LibtorchExecutor::take_parameters(AlignedBuffer& buffer) {
  check_size("parameters", buffer.size(), graph_.parameter_count());
  std::ranges::copy(weights_.span(), buffer.data());
}

at::Tensor LibtorchExecutor::logits(const Operands& operands, ForwardOptions options) {
  Shape shape = graph_.input().shape;
  shape.insert(shape.begin(), batch_.size());
  options.quant = operands.grids();
  return forward_
      .run(operands.parameters, at::from_blob(batch_.samples().data(), shape, at::kFloat), options)
      .reshape({-1, batch_.classes()});
}

TrainResult LibtorchExecutor::train(const TrainRequest& request) {
  check_request(*this, request);
  return guarded("train", [&] { return run_steps(request); });
}

// What a plan quantizes is read from quantized_, which every step fills anew, and leaves its
// gradient where that of the weights themselves belongs: straight through. What is frozen asks for
// no gradient, and autograd saves nothing for it.
Operands LibtorchExecutor::training_operands(const TrainRequest& request) {
  Operands operands{.parameters = leaves_, .quant = {}};
  const FrozenPart frozen = frozen_part(graph_, request.plan->memory.freeze_first);
  const auto freeze = [&](const float* values) {
    const std::vector<at::Tensor> views = parameter_views(graph_, values);
    for (std::size_t i = 0; i < views.size(); ++i) {
      const bool is_quantized = operands.quant && operands.quant->has_weight(i);
      const bool is_read_here = is_quantized == (values == quantized_.data());
      if (graph_.parameters()[i].offset < frozen.parameters && is_read_here)
        operands.parameters[i] = views[i];
    }
  };
  const QuantPlan* plan = request.quant;
  if (plan == nullptr || plan->is_empty()) {
    freeze(weights_.data());
    return operands;
  }
  operands.quant.emplace(graph_, *plan);
  if (quantized_.size() == 0) quantized_ = AlignedBuffer(weights_.size());
  const std::vector<at::Tensor> quantized =
      trainable_leaves(graph_, quantized_.data(), gradient_.data());
  for (std::size_t i = 0; i < quantized.size(); ++i) {
    if (operands.quant->has_weight(i)) operands.parameters[i] = quantized[i];
  }
  freeze(weights_.data());
  freeze(quantized_.data());
  return operands;
}

TrainResult LibtorchExecutor::run_steps(const TrainRequest& request) {
  std::ranges::copy(request.global, weights_.data());
  if (request.plan->mask_rule == MaskRule::kKeepZero) request.mask->apply(weights_.span());
  optimizer_.begin(request);
  const Operands operands = training_operands(request);
  LocalLoss loss(graph_, request);
  return train_steps(request, batch_,
                     [&](const MicroBatch& micro) { return step(operands, loss, micro); });
}

// Forward and backward of the samples that were read, and one optimizer step at the batch's end;
// the scores are those before the step.
Scores LibtorchExecutor::step(const Operands& operands, LocalLoss& loss, const MicroBatch& micro) {
  if (operands.quant && micro.begins_batch())
    operands.quant->quantize_weights(weights_.data(), quantized_.data());
  at::Tensor features;
  ForwardOptions options{.dropout = &micro.dropout, .first_sample = micro.first};
  if (loss.feature_node() >= 0) {
    options.visit = [&](std::size_t node, const at::Tensor& output) {
      if (static_cast<int>(node) == loss.feature_node()) features = output;
    };
  }
  const at::Tensor output = logits(operands, std::move(options));
  if (micro.begins_batch()) std::ranges::fill(gradient_.span(), 0.0F);
  const CrossEntropy scored =
      loss.backward({.logits = output,
                     .features = features,
                     .labels = batch_.labels(),
                     .indices = micro.indices,
                     .batch_labels = micro.batch_size * graph_.input().labels_per_sample});
  if (micro.ends_batch()) {
    if (operands.quant) operands.quant->stop_saturated(weights_.data(), gradient_.data());
    optimizer_.step(weights_.data(), {.values = gradient_.data()});
  }
  return {scored.loss_sum, scored.correct};
}

// Matrix products may give other bits at another alignment, so parameters are always read at the
// arena's.
Operands LibtorchExecutor::evaluation_operands(const ModelView& model) {
  check_size("parameters", model.parameters.size(), graph_.parameter_count());
  const float* values = model.parameters.data();
  if (reinterpret_cast<std::uintptr_t>(values) % 64 != 0) {
    if (evaluated_.size() == 0) evaluated_ = AlignedBuffer(model.parameters.size());
    std::ranges::copy(model.parameters, evaluated_.data());
    values = evaluated_.data();
  }
  Operands operands{.parameters = parameter_views(graph_, values), .quant = {}};
  if (model.quant == nullptr || model.quant->is_empty()) return operands;
  operands.quant.emplace(graph_, *model.quant);
  if (quantized_.size() == 0) quantized_ = AlignedBuffer(weights_.size());
  operands.quant->quantize_weights(values, quantized_.data());
  const std::vector<at::Tensor> quantized = parameter_views(graph_, quantized_.data());
  for (std::size_t i = 0; i < quantized.size(); ++i) {
    if (operands.quant->has_weight(i)) operands.parameters[i] = quantized[i];
  }
  return operands;
}

EvalResult LibtorchExecutor::evaluate(const ModelView& model, const SampleSource& source,
                                      std::span<const std::int64_t> indices) {
  if (indices.empty()) return {};
  return guarded("evaluate", [&] {
    const at::NoGradGuard no_grad;
    const Operands operands = evaluation_operands(model);
    batch_.read(source, indices);
    const CrossEntropy scored = cross_entropy(logits(operands, {}), batch_.labels());
    return EvalResult{.loss_sum = scored.loss_sum,
                      .correct = scored.correct,
                      .labels = static_cast<std::int64_t>(batch_.labels().size())};
  });
}

std::vector<float> LibtorchExecutor::infer(const ModelView& model, std::span<const float> samples) {
  check_samples(graph_, samples);
  return guarded("infer", [&] {
    const at::NoGradGuard no_grad;
    const Operands operands = evaluation_operands(model);
    std::vector<float> out;
    const auto piece = static_cast<std::size_t>(kInferenceBatch * batch_.sample_size());
    for (std::size_t first = 0; first < samples.size(); first += piece) {
      batch_.assign(samples.subspan(first, std::min(piece, samples.size() - first)));
      const at::Tensor rows = logits(operands, {}).contiguous();
      const float* data = rows.const_data_ptr<float>();
      out.insert(out.end(), data, data + rows.numel());
    }
    return out;
  });
}

void LibtorchExecutor::observe(const ModelView& model, std::span<const float> samples,
                               std::span<const std::string> nodes, const NodeVisitor& visit) {
  check_samples(graph_, samples);
  std::vector<int> watched;
  for (const std::string& name : nodes) {
    watched.push_back(graph_.node_named(name));
    if (watched.back() < 0) throw ConfigError(text("observe: the graph has no node '", name, "'"));
  }
  if (samples.empty()) return;
  const auto visit_output = [&](std::size_t node, const at::Tensor& output) {
    for (std::size_t i = 0; i < watched.size(); ++i) {
      if (watched[i] != static_cast<int>(node)) continue;
      const at::Tensor values = output.contiguous();
      visit(i, {values.const_data_ptr<float>(), static_cast<std::size_t>(values.numel())});
    }
  };
  guarded("observe", [&] {
    const at::NoGradGuard no_grad;
    const Operands operands = evaluation_operands(model);
    batch_.assign(samples);
    logits(operands, {.visit = visit_output});
  });
}

}  // namespace

std::unique_ptr<Executor> make_libtorch_executor(Graph graph) {
  check_logits("libtorch", graph);
  return guarded("make", [&] { return std::make_unique<LibtorchExecutor>(std::move(graph)); });
}

}  // namespace coppice::libtorch
