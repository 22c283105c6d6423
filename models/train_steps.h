#pragma once
// The steps of a client's local training, the same for every executor. Internal to models/.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <span>        // for span

#include "models/batch.h"
#include "models/dropout_key.h"
#include "models/executor.h"

namespace coppice {

// Of the labels of some samples, before the step that trains on them.
struct Scores {
  double loss_sum = 0.0;  // cross-entropy
  std::int64_t correct = 0;
};

// Trains on the batch that was read, whose samples are those of `indices` in the request's source.
using TrainStep =
    std::function<Scores(std::span<const std::int64_t> indices, const DropoutKey& dropout)>;

// Reads one batch after the other into `batch` and calls `step`.
TrainResult train_steps(const TrainRequest& request, Batch& batch, const TrainStep& step);

}  // namespace coppice
