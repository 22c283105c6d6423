#pragma once
// Batches of a client's local step: which samples in which order, and one batch at a time in memory
// that is allocated once and reused. What every executor shares; internal to models/.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "core/random.h"
#include "models/executor.h"

namespace coppice {

// The order in which a client's samples are visited: a permutation an epoch, each a function of
// (seed, client, round, epoch), cut into batches; the last one of an epoch may be smaller.
class BatchOrder {
 public:
  // Reads what it needs of the request at once.
  explicit BatchOrder(const TrainRequest& request);

  std::int64_t steps() const { return steps_; }  // of the request's plan

  // The samples of batch `step`, counted over all epochs; to be asked in order.
  std::span<const std::int64_t> batch(std::int64_t step);

 private:
  RandomStream stream_;
  std::int64_t samples_;
  std::int64_t batch_size_;
  std::int64_t batches_an_epoch_;
  std::int64_t steps_;
  std::vector<std::int64_t> order_;
};

class Batch {
 public:
  explicit Batch(const Graph& graph);

  // Reads samples `indices` and their labels, replacing what was there. Throws ConfigError for an
  // index outside the source or a label outside [0, classes), naming the sample.
  void read(const SampleSource& source, std::span<const std::int64_t> indices);

  // Frees what more than `n` samples take.
  void give_back(std::int64_t n);

  // Copies samples, whose length is a multiple of sample_size(). There are no labels then.
  void assign(std::span<const float> values);

  std::span<float> samples() {
    return memory_.span().first(static_cast<std::size_t>(size_ * sample_size_));
  }
  std::span<const std::int32_t> labels() const { return labels_; }  // size() * labels_per_sample
  std::int64_t size() const { return size_; }                       // samples

  std::int64_t sample_size() const { return sample_size_; }
  std::int64_t classes() const { return classes_; }

 private:
  void resize(std::int64_t n);
  void check_labels(std::span<const std::int64_t> indices) const;

  std::int64_t labels_per_sample_;
  std::int64_t sample_size_;
  std::int64_t classes_;
  std::int64_t size_ = 0;
  AlignedBuffer memory_;
  std::vector<std::int32_t> labels_;
};

}  // namespace coppice
