#include "models/train_steps.h"

#include <algorithm>  // for min

namespace coppice {

std::int64_t samples_at_once(const LocalPlan& plan) {
  const std::int64_t micro_batch = plan.memory.micro_batch;
  return micro_batch > 0 ? std::min(micro_batch, plan.batch_size) : plan.batch_size;
}

TrainResult train_steps(const TrainRequest& request, Batch& batch, const TrainStep& step) {
  BatchOrder order(request);
  const auto at_once = static_cast<std::size_t>(samples_at_once(*request.plan));
  batch.give_back(std::min<std::int64_t>(static_cast<std::int64_t>(at_once), request.source->size));
  TrainResult result{.steps = order.steps()};
  double loss_sum = 0.0;
  for (std::int64_t i = 0; i < result.steps; ++i) {
    const std::span<const std::int64_t> indices = order.batch(i);
    for (std::size_t first = 0; first < indices.size(); first += at_once) {
      const auto part = indices.subspan(first, std::min(at_once, indices.size() - first));
      batch.read(*request.source, part);
      const Scores scores = step(
          {.indices = part,
           .first = static_cast<std::int64_t>(first),
           .batch_size = std::ssize(indices),
           .dropout = {
               .seed = request.seed, .client = request.client, .round = request.round, .step = i}});
      loss_sum += scores.loss_sum;
      result.correct += scores.correct;
      result.labels_seen += static_cast<std::int64_t>(batch.labels().size());
      result.samples_seen += batch.size();
    }
  }
  result.mean_loss = loss_sum / static_cast<double>(result.labels_seen);
  return result;
}

}  // namespace coppice
