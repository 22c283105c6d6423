#include "models/batch.h"

#include <algorithm>  // for copy, min

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::uint64_t kWordsAnEpoch = std::uint64_t{1} << 40U;  // of the batch-order stream

}  // namespace

BatchOrder::BatchOrder(const TrainRequest& request)
    : stream_({.seed = request.seed,
               .purpose = Purpose::kBatchOrder,
               .client = request.client,
               .task = request.round}),
      samples_(request.source->size),
      batch_size_(request.plan->batch_size),
      batches_an_epoch_((samples_ + batch_size_ - 1) / batch_size_),
      steps_(request.plan->steps > 0 ? request.plan->steps
                                     : request.plan->epochs * batches_an_epoch_) {}

std::span<const std::int64_t> BatchOrder::batch(std::int64_t step) {
  const std::int64_t epoch = step / batches_an_epoch_;
  if (step % batches_an_epoch_ == 0) {
    stream_.seek(static_cast<std::uint64_t>(epoch) * kWordsAnEpoch);
    order_ = random_permutation(samples_, stream_);
  }
  const std::int64_t first = step % batches_an_epoch_ * batch_size_;
  const std::int64_t n = std::min(batch_size_, samples_ - first);
  return std::span(order_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n));
}

Batch::Batch(const Graph& graph)
    : labels_per_sample_(graph.input().labels_per_sample),
      sample_size_(element_count(graph.input().shape)),
      classes_(graph.output().shape.back()) {}

void Batch::resize(std::int64_t n) {
  const auto needed = static_cast<std::size_t>(n * sample_size_);
  if (memory_.size() < needed) {
    memory_ = {};  // before the next one comes
    memory_ = AlignedBuffer(needed);
  }
  size_ = n;
}

void Batch::give_back(std::int64_t n) {
  if (memory_.size() <= static_cast<std::size_t>(n * sample_size_)) return;
  memory_ = {};
  labels_ = {};
  size_ = 0;
}

void Batch::read(const SampleSource& source, std::span<const std::int64_t> indices) {
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= source.size) {
      throw ConfigError(text("sample ", index, " is outside the source's [0, ", source.size, ")"));
    }
  }
  resize(static_cast<std::int64_t>(indices.size()));
  source.samples(indices, samples());
  labels_.resize(indices.size() * static_cast<std::size_t>(labels_per_sample_));
  source.labels(indices, labels_);
  check_labels(indices);
}

void Batch::check_labels(std::span<const std::int64_t> indices) const {
  const auto per_sample = static_cast<std::size_t>(labels_per_sample_);
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (labels_[i] < 0 || labels_[i] >= classes_) {
      throw ConfigError(text("label ", labels_[i], " of sample ", indices[i / per_sample],
                             " is outside the model's classes [0, ", classes_, ")"));
    }
  }
}

void Batch::assign(std::span<const float> values) {
  resize(static_cast<std::int64_t>(values.size()) / sample_size_);
  std::ranges::copy(values, samples().begin());
  labels_.clear();
}

}  // namespace coppice
