#include "models/libtorch/local_loss.h"

#include <ATen/ops/from_blob.h>

#include <cmath>  // for isfinite

#include "core/error.h"
#include "core/text.h"
#include "models/libtorch/distillation.h"

namespace coppice::libtorch {
namespace {

bool has_logits(const Teacher* teacher) { return teacher != nullptr && teacher->logits != nullptr; }

bool has_features(const Teacher* teacher) {
  return teacher != nullptr && teacher->features != nullptr && teacher->feature_size > 0;
}

}  // namespace

std::string refused_term(const Graph& graph, const LocalPlan& plan) {
  if (plan.loss_terms.empty()) return "loss_terms is empty: there is nothing to train on";
  bool has_feature_term = false;
  for (const LossTerm& term : plan.loss_terms) {
    switch (term.kind) {
      case LossKind::kCrossEntropy:
        break;
      case LossKind::kDistillation:
        if (!std::isfinite(term.temperature) || term.temperature <= 0.0) {
          return text("loss term distillation: expected a temperature > 0, got ", term.temperature);
        }
        break;
      case LossKind::kFeatureMatching:
        if (graph.node_named(term.buffer) < 0)
          return text("loss term feature matching: the graph has no node '", term.buffer, "'");
        if (has_feature_term) return "loss term feature matching: a plan has at most one";
        has_feature_term = true;
        break;
      case LossKind::kContrastive:
        return "loss term contrastive: executor libtorch trains on cross-entropy, distillation and "
               "feature matching";
    }
  }
  return {};
}

LocalLoss::LocalLoss(const Graph& graph, const TrainRequest& request) : teacher_(request.teacher) {
  for (const LossTerm& term : request.plan->loss_terms) {
    if (term.kind == LossKind::kCrossEntropy) {
      cross_entropy_weight_ += term.weight;
    } else if (term.kind == LossKind::kDistillation) {
      if (!has_logits(teacher_))
        throw ConfigError("loss term distillation: the request has no teacher's logits");
      distillation_.push_back(term);
    } else {
      if (!has_features(teacher_))
        throw ConfigError("loss term feature matching: the request has no teacher's features");
      feature_weight_ = term.weight;
      feature_node_ = graph.node_named(term.buffer);
    }
  }
}

CrossEntropy LocalLoss::backward(const ScoredBatch& batch) {
  CrossEntropy scored = cross_entropy(batch.logits, batch.labels);
  const double scale = cross_entropy_weight_ / static_cast<double>(batch.batch_labels);
  at::Tensor gradient = cross_entropy_gradient(scored, batch.labels, scale);
  if (!distillation_.empty()) add_distillation(batch, gradient);
  if (feature_node_ < 0) {
    batch.logits.backward(gradient);
  } else {
    // Autograd starts from one tensor: a scalar with the same gradients at both.
    const at::Tensor features_part = batch.features.mul(feature_gradient(batch)).sum();
    batch.logits.mul(gradient).sum().add(features_part).backward();
  }
  return scored;
}

void LocalLoss::add_distillation(const ScoredBatch& batch, at::Tensor& gradient) {
  teacher_values_.resize(static_cast<std::size_t>(gradient.numel()));
  teacher_->logits(batch.indices, teacher_values_);
  const at::Tensor teacher = at::from_blob(teacher_values_.data(), gradient.sizes(), at::kFloat);
  const double share =
      static_cast<double>(batch.labels.size()) / static_cast<double>(batch.batch_labels);
  for (const LossTerm& term : distillation_) {
    gradient.add_(distillation(batch.logits, teacher, term.temperature).gradient,
                  share * term.weight);
  }
}

at::Tensor LocalLoss::feature_gradient(const ScoredBatch& batch) {
  const auto n = static_cast<std::int64_t>(batch.indices.size());
  teacher_values_.resize(static_cast<std::size_t>(n * teacher_->feature_size));
  teacher_->features(batch.indices, teacher_values_);
  const at::Tensor teacher =
      at::from_blob(teacher_values_.data(), {n, teacher_->feature_size}, at::kFloat);
  return similarity_preserving(batch.features, teacher).gradient.mul_(feature_weight_);
}

}  // namespace coppice::libtorch
