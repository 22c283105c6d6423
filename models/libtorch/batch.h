#pragma once
// One batch at a time from a SampleSource into memory that is allocated once and reused. Internal
// to models/.

#include <ATen/core/Tensor.h>

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "models/executor.h"

namespace coppice::libtorch {

class Batch {
 public:
  // `graph` must outlive the batch.
  explicit Batch(const Graph& graph);

  // Reads samples `indices` and their labels, replacing what was there. Throws ConfigError for an
  // index outside the source or a label outside [0, classes), naming the sample.
  void read(const SampleSource& source, std::span<const std::int64_t> indices);

  // Copies `samples`, whose length is a multiple of sample_size(). There are no labels then.
  void assign(std::span<const float> samples);

  const at::Tensor& samples() const { return samples_; }            // [n, input shape]
  std::span<const std::int32_t> labels() const { return labels_; }  // n * labels_per_sample
  std::int64_t size() const { return samples_.size(0); }

  std::int64_t sample_size() const { return sample_size_; }
  std::int64_t classes() const { return classes_; }

 private:
  std::span<float> resize(std::int64_t n);
  void check_labels(std::span<const std::int64_t> indices) const;

  const Graph& graph_;
  std::int64_t sample_size_;
  std::int64_t classes_;
  AlignedBuffer memory_;
  at::Tensor samples_;
  std::vector<std::int32_t> labels_;
};

}  // namespace coppice::libtorch
