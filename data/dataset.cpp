#include "data/dataset.h"

#include <algorithm>   // for copy_n, transform
#include <functional>  // for multiplies
#include <numeric>     // for accumulate

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

void check_gather(const Split& split, std::span<const std::int64_t> indices, std::int64_t width,
                  std::size_t out_size) {
  if (out_size != indices.size() * static_cast<std::size_t>(width)) {
    throw ConfigError(text("gather: expected room for ", indices.size(), " x ", width,
                           " values, got ", out_size));
  }
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= split.size) {
      throw ConfigError(
          text("gather: expected sample indices in [0, ", split.size, "), got ", index));
    }
  }
}

// Calls copy(first value of the sample, place in `out`) for each index.
template <typename Value, typename Out, typename Copy>
void for_each_sample(const std::vector<Value>& values, std::span<const std::int64_t> indices,
                     std::int64_t width, Out* out, Copy&& copy) {
  for (const std::int64_t index : indices) {
    copy(values.data() + index * width, out);
    out += width;
  }
}

}  // namespace

std::int64_t Dataset::sample_size() const {
  return std::accumulate(sample_shape.begin(), sample_shape.end(), std::int64_t{1},
                         std::multiplies<>());
}

void gather_samples(const Dataset& dataset, const Split& split,
                    std::span<const std::int64_t> indices, std::span<float> out) {
  const std::int64_t width = dataset.sample_size();
  check_gather(split, indices, width, out.size());
  switch (dataset.type) {
    case SampleType::kUint8:
      for_each_sample(
          split.uint8s, indices, width, out.data(), [width](const std::uint8_t* from, float* to) {
            std::transform(from, from + width, to,
                           [](std::uint8_t byte) { return static_cast<float>(byte) / 255.0F; });
          });
      return;
    case SampleType::kFloat32:
      for_each_sample(split.float32s, indices, width, out.data(),
                      [width](const float* from, float* to) { std::copy_n(from, width, to); });
      return;
    case SampleType::kInt32:
      for_each_sample(split.int32s, indices, width, out.data(),
                      [width](const std::int32_t* from, float* to) {
                        std::transform(from, from + width, to,
                                       [](std::int32_t id) { return static_cast<float>(id); });
                      });
      return;
  }
}

void gather_labels(const Dataset& dataset, const Split& split,
                   std::span<const std::int64_t> indices, std::span<std::int32_t> out) {
  const std::int64_t width = dataset.labels_per_sample;
  check_gather(split, indices, width, out.size());
  for_each_sample(
      split.labels, indices, width, out.data(),
      [width](const std::int32_t* from, std::int32_t* to) { std::copy_n(from, width, to); });
}

}  // namespace coppice
