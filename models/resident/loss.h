#pragma once
// The data terms of a LocalPlan on rows of logits: scores and the gradient of their weighted sum.
// Lives for one train() call. Internal to models/resident. Not thread-safe.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/local_plan.h"
#include "models/executor.h"
#include "models/train_steps.h"

namespace coppice::resident {

// Cross-entropy and top-1 of logits [labels][classes]; of equal logits the first counts.
Scores score(std::span<const float> logits, std::span<const std::int32_t> labels);

class LocalLoss {
 public:
  // `request` and what it points to must live as long. Throws ConfigError for a term whose teacher
  // is missing.
  explicit LocalLoss(const TrainRequest& request);

  // The teacher is asked once a micro-batch, by the source's indices.
  void begin_batch(const MicroBatch& batch, std::int64_t classes);

  // Scores samples [first, first + labels) of the micro-batch, and overwrites their logits with the
  // gradient of the whole batch's loss.
  Scores to_gradient(std::span<float> logits, std::span<const std::int32_t> labels,
                     std::int64_t first);

 private:
  const Teacher* teacher_;
  double cross_entropy_weight_ = 0.0;
  std::vector<LossTerm> distillation_;
  double batch_size_ = 1.0;
  std::int64_t classes_ = 1;
  std::vector<float> teacher_logits_;  // of the batch
  std::vector<float> student_;         // one row's probabilities
  std::vector<float> target_;
  std::vector<float> gradient_;
};

}  // namespace coppice::resident
