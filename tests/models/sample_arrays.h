#pragma once
// Samples and labels in memory as a SampleSource, for tests.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/random.h"
#include "models/executor.h"

namespace coppice {

class SampleArrays {
 public:
  // `samples` holds sample_size floats a sample, `labels` labels_per_sample integers.
  SampleArrays(std::vector<float> samples, std::vector<std::int32_t> labels,
               std::int64_t sample_size, std::int64_t labels_per_sample = 1)
      : samples_(std::move(samples)),
        labels_(std::move(labels)),
        sample_size_(sample_size),
        labels_per_sample_(labels_per_sample) {}

  // Uniform samples in [0, 1) with uniform labels.
  static SampleArrays random(std::int64_t n, std::int64_t sample_size, std::int64_t classes,
                             std::int64_t seed) {
    RandomStream stream({.purpose = Purpose::kGenerated, .task = seed});
    std::vector<float> samples(static_cast<std::size_t>(n * sample_size));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
    for (float& value : samples) value = stream.next_uniform();
    for (std::int32_t& label : labels) {
      label = static_cast<std::int32_t>(stream.next_below(static_cast<std::uint64_t>(classes)));
    }
    return {std::move(samples), std::move(labels), sample_size};
  }

  std::int64_t size() const { return static_cast<std::int64_t>(samples_.size()) / sample_size_; }
  const std::vector<float>& samples() const { return samples_; }
  const std::vector<std::int32_t>& labels() const { return labels_; }

  // Refers to this object.
  SampleSource source() const {
    const auto gather = [](const auto& from, std::int64_t row,
                           std::span<const std::int64_t> indices, auto out) {
      for (std::size_t i = 0; i < indices.size(); ++i) {
        std::copy_n(from.begin() + indices[i] * row, row,
                    out.begin() + static_cast<std::int64_t>(i) * row);
      }
    };
    return {.size = size(),
            .samples = [this, gather](
                           std::span<const std::int64_t> indices,
                           std::span<float> out) { gather(samples_, sample_size_, indices, out); },
            .labels =
                [this, gather](std::span<const std::int64_t> indices, std::span<std::int32_t> out) {
                  gather(labels_, labels_per_sample_, indices, out);
                }};
  }

 private:
  std::vector<float> samples_;
  std::vector<std::int32_t> labels_;
  std::int64_t sample_size_;
  std::int64_t labels_per_sample_;
};

}  // namespace coppice
