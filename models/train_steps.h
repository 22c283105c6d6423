#pragma once
// The steps of a client's local training, the same for every executor. Internal to models/.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <iterator>    // for ssize
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

// The samples that were read: a batch, or a part of it that goes through the network at once.
struct MicroBatch {
  std::span<const std::int64_t> indices;  // of the request's source
  std::int64_t first = 0;                 // place of the first sample in the batch
  std::int64_t batch_size = 0;            // samples of the whole batch
  DropoutKey dropout;

  bool begins_batch() const { return first == 0; }
  bool ends_batch() const { return first + std::ssize(indices) == batch_size; }
};

// Begins or adds to the gradient of the batch, and steps at its end.
using TrainStep = std::function<Scores(const MicroBatch&)>;

// Samples that are read at once: of the plan's micro-batches, or batches.
std::int64_t samples_at_once(const LocalPlan& plan);

// Reads one micro-batch after the other into `batch` and calls `step`.
TrainResult train_steps(const TrainRequest& request, Batch& batch, const TrainStep& step);

}  // namespace coppice
