#pragma once
// A small data set of vectors with a class each, dealt to clients in equal parts.

#include <cstdint>
#include <utility>

#include "core/random.h"
#include "data/dataset.h"
#include "data/partition.h"

namespace coppice {

inline constexpr std::int64_t kTinyFeatures = 6;
inline constexpr std::int64_t kTinyClasses = 3;

inline Split tiny_split(std::int64_t size, std::int64_t task) {
  Split split;
  split.size = size;
  RandomStream stream({.task = task});
  for (std::int64_t i = 0; i < size; ++i) {
    const auto label = static_cast<std::int32_t>(stream.next_below(kTinyClasses));
    split.labels.push_back(label);
    for (std::int64_t f = 0; f < kTinyFeatures; ++f) {
      split.float32s.push_back((f == label ? 1.0F : 0.0F) +
                               0.3F * static_cast<float>(stream.next_normal()));
    }
  }
  return split;
}

inline Dataset tiny_dataset() {
  Dataset dataset;
  dataset.name = "tiny";
  dataset.type = SampleType::kFloat32;
  dataset.sample_shape = {kTinyFeatures};
  dataset.classes = kTinyClasses;
  dataset.train = tiny_split(50, 1);
  dataset.test = tiny_split(23, 2);
  return dataset;
}

// Client k owns samples 10 k .. 10 k + 9, the last two for validation.
inline Partition tiny_partition() {
  Partition partition;
  for (std::int64_t client = 0; client < 5; ++client) {
    ClientData data;
    for (std::int64_t i = 0; i < 10; ++i)
      (i < 8 ? data.train : data.validation).push_back(10 * client + i);
    partition.clients.push_back(std::move(data));
  }
  return partition;
}

}  // namespace coppice
