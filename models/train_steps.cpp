#include "models/train_steps.h"

namespace coppice {

TrainResult train_steps(const TrainRequest& request, Batch& batch, const TrainStep& step) {
  BatchOrder order(request);
  TrainResult result{.steps = order.steps()};
  double loss_sum = 0.0;
  for (std::int64_t i = 0; i < result.steps; ++i) {
    const std::span<const std::int64_t> indices = order.batch(i);
    batch.read(*request.source, indices);
    const Scores scores =
        step(indices,
             {.seed = request.seed, .client = request.client, .round = request.round, .step = i});
    loss_sum += scores.loss_sum;
    result.correct += scores.correct;
    result.labels_seen += static_cast<std::int64_t>(batch.labels().size());
    result.samples_seen += batch.size();
  }
  result.mean_loss = loss_sum / static_cast<double>(result.labels_seen);
  return result;
}

}  // namespace coppice
