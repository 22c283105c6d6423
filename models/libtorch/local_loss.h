#pragma once
// The data terms of a LocalPlan on one batch: scores it and runs backward from the weighted sum of
// the terms. Lives for one train() call. Internal to models/. Not thread-safe.

#include <ATen/core/Tensor.h>

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/graph.h"
#include "core/local_plan.h"
#include "models/executor.h"
#include "models/libtorch/cross_entropy.h"

namespace coppice::libtorch {

// Empty if every loss term of `plan` can be run on `graph`, else which one cannot and why.
std::string refused_term(const Graph& graph, const LocalPlan& plan);

// A batch after the forward pass.
struct ScoredBatch {
  at::Tensor logits;    // [labels, classes], recorded by autograd
  at::Tensor features;  // output of LocalLoss::feature_node(); undefined if there is none
  std::span<const std::int32_t> labels;
  std::span<const std::int64_t> indices;  // of the samples in the request's source
  std::int64_t batch_labels = 0;          // of the batch that these samples are a part of
};

class LocalLoss {
 public:
  // `request` and what it points to must live as long. Its plan is one that is not refused. Throws
  // ConfigError for a term whose teacher, or its logits or features, is missing.
  LocalLoss(const Graph& graph, const TrainRequest& request);

  // The node whose output feature matching needs; -1: none.
  int feature_node() const { return feature_node_; }

  // Adds d(sum of weight x term) to the .grad of the leaves below `batch`. Returns the scores of
  // the labels; their log_probabilities are overwritten.
  CrossEntropy backward(const ScoredBatch& batch);

 private:
  void add_distillation(const ScoredBatch& batch, at::Tensor& gradient);
  at::Tensor feature_gradient(const ScoredBatch& batch);

  const Teacher* teacher_;
  double cross_entropy_weight_ = 0.0;
  std::vector<LossTerm> distillation_;
  double feature_weight_ = 0.0;
  int feature_node_ = -1;
  std::vector<float> teacher_values_;  // of one batch, reused
};

}  // namespace coppice::libtorch
