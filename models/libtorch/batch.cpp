#include "models/libtorch/batch.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>  // for copy

#include "core/error.h"
#include "core/text.h"

namespace coppice::libtorch {

Batch::Batch(const Graph& graph)
    : graph_(graph),
      sample_size_(element_count(graph.input().shape)),
      classes_(graph.output().shape.back()) {}

std::span<float> Batch::resize(std::int64_t n) {
  const auto needed = static_cast<std::size_t>(n * sample_size_);
  if (memory_.size() < needed) memory_ = AlignedBuffer(needed);
  Shape shape = graph_.input().shape;
  shape.insert(shape.begin(), n);
  samples_ = at::from_blob(memory_.data(), shape, at::kFloat);
  return memory_.span().first(needed);
}

void Batch::read(const SampleSource& source, std::span<const std::int64_t> indices) {
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= source.size) {
      throw ConfigError(text("sample ", index, " is outside the source's [0, ", source.size, ")"));
    }
  }
  source.samples(indices, resize(static_cast<std::int64_t>(indices.size())));
  labels_.resize(indices.size() * static_cast<std::size_t>(graph_.input().labels_per_sample));
  source.labels(indices, labels_);
  check_labels(indices);
}

void Batch::check_labels(std::span<const std::int64_t> indices) const {
  const auto per_sample = static_cast<std::size_t>(graph_.input().labels_per_sample);
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (labels_[i] < 0 || labels_[i] >= classes_) {
      throw ConfigError(text("label ", labels_[i], " of sample ", indices[i / per_sample],
                             " is outside the model's classes [0, ", classes_, ")"));
    }
  }
}

void Batch::assign(std::span<const float> samples) {
  const auto n = static_cast<std::int64_t>(samples.size()) / sample_size_;
  std::copy(samples.begin(), samples.end(), resize(n).begin());
  labels_.clear();
}

}  // namespace coppice::libtorch
