#include "models/resident/loss.h"

#include <algorithm>  // for max_element
#include <cmath>      // for exp, log

#include "core/error.h"
#include "core/text.h"
#include "models/resident/executor.h"

namespace coppice::resident {
namespace {

// out = softmax(logits / temperature); returns the logarithm of its denominator after the largest
// logit was taken from all.
float softmax(std::span<const float> logits, float temperature, std::span<float> out) {
  const float largest = *std::ranges::max_element(logits);
  float sum = 0.0F;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    out[i] = std::exp((logits[i] - largest) / temperature);
    sum += out[i];
  }
  for (float& p : out) p /= sum;
  return std::log(sum);
}

// Adds one label's score; `probabilities` becomes softmax(row).
void add_row(std::span<const float> row, std::int32_t label, std::span<float> probabilities,
             Scores& scores) {
  const float log_sum = softmax(row, 1.0F, probabilities);
  const auto largest = std::ranges::max_element(row);
  scores.loss_sum += double{log_sum - (row[static_cast<std::size_t>(label)] - *largest)};
  if (largest - row.begin() == label) ++scores.correct;
}

}  // namespace

std::string refused_term(const LocalPlan& plan) {
  if (plan.loss_terms.empty()) return "loss_terms is empty: there is nothing to train on";
  for (const LossTerm& term : plan.loss_terms) {
    if (term.kind == LossKind::kDistillation &&
        (!std::isfinite(term.temperature) || term.temperature <= 0.0)) {
      return text("loss term distillation: expected a temperature > 0, got ", term.temperature);
    }
    if (term.kind == LossKind::kFeatureMatching || term.kind == LossKind::kContrastive) {
      return text("loss term ",
                  term.kind == LossKind::kContrastive ? "contrastive" : "feature matching",
                  ": executor resident trains on cross-entropy and distillation");
    }
  }
  return {};
}

Scores score(std::span<const float> logits, std::span<const std::int32_t> labels) {
  Scores scores;
  const std::size_t classes = logits.size() / std::max<std::size_t>(labels.size(), 1);
  std::vector<float> probabilities(classes);
  for (std::size_t i = 0; i < labels.size(); ++i)
    add_row(logits.subspan(i * classes, classes), labels[i], probabilities, scores);
  return scores;
}

LocalLoss::LocalLoss(const TrainRequest& request) : teacher_(request.teacher) {
  for (const LossTerm& term : request.plan->loss_terms) {
    if (term.kind == LossKind::kCrossEntropy) {
      cross_entropy_weight_ += term.weight;
      continue;
    }
    if (teacher_ == nullptr || teacher_->logits == nullptr)
      throw ConfigError("loss term distillation: the request has no teacher's logits");
    distillation_.push_back(term);
  }
}

void LocalLoss::begin_batch(const MicroBatch& batch, std::int64_t classes) {
  batch_size_ = static_cast<double>(batch.batch_size);
  classes_ = classes;
  const auto width = static_cast<std::size_t>(classes);
  gradient_.resize(width);
  if (distillation_.empty()) return;
  student_.resize(width);
  target_.resize(width);
  teacher_logits_.resize(batch.indices.size() * width);
  teacher_->logits(batch.indices, teacher_logits_);
}

// d CE = (p - 1 at the label) / n; d T^2 KL = T (softmax(z / T) - softmax(teacher / T)) / n.
Scores LocalLoss::to_gradient(std::span<float> logits, std::span<const std::int32_t> labels,
                              std::int64_t first) {
  Scores scores;
  const auto width = static_cast<std::size_t>(classes_);
  const auto share = static_cast<float>(cross_entropy_weight_ / batch_size_);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<float> row = logits.subspan(i * width, width);
    add_row(row, labels[i], gradient_, scores);
    gradient_[static_cast<std::size_t>(labels[i])] -= 1.0F;
    for (float& g : gradient_) g *= share;
    for (const LossTerm& term : distillation_) {
      const auto temperature = static_cast<float>(term.temperature);
      const auto weight = static_cast<float>(term.weight * term.temperature / batch_size_);
      const std::size_t at = (static_cast<std::size_t>(first) + i) * width;
      softmax(row, temperature, student_);
      softmax(std::span(teacher_logits_).subspan(at, width), temperature, target_);
      for (std::size_t c = 0; c < width; ++c) gradient_[c] += weight * (student_[c] - target_[c]);
    }
    std::ranges::copy(gradient_, row.begin());
  }
  return scores;
}

}  // namespace coppice::resident
