#include "data/dataset.h"

#include <algorithm>   // for copy_n, min, transform
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

// Samples lie all over a data set larger than the caches: each is asked for while those before it
// are copied.
constexpr std::size_t kAhead = 4;
constexpr std::size_t kLineBytes = 64;

template <typename Value>
void prefetch(const Value* sample, std::int64_t width) {
  const char* const bytes = reinterpret_cast<const char*>(sample);
  const std::size_t end = static_cast<std::size_t>(width) * sizeof(Value);
  for (std::size_t at = 0; at < end; at += kLineBytes) __builtin_prefetch(bytes + at);
}

// Calls copy(first value of the sample, place in `out`) for each index.
template <typename Value, typename Out, typename Copy>
void for_each_sample(const std::vector<Value>& values, std::span<const std::int64_t> indices,
                     std::int64_t width, Out* out, Copy&& copy) {
  for (std::size_t i = 0; i < std::min(kAhead, indices.size()); ++i)
    prefetch(values.data() + indices[i] * width, width);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (i + kAhead < indices.size()) prefetch(values.data() + indices[i + kAhead] * width, width);
    copy(values.data() + indices[i] * width, out);
    out += width;
  }
}

// byte / 255 without the division, which takes most of the time: 1 / 255 = 257 / 2^16 + rest, a
// byte's product with the first is exact, and the sum with that of the rest rounds to the quotient
// for all 256 bytes.
float fraction_of(std::uint8_t byte) {
  const auto value = static_cast<float>(byte);
  return value * 0x1.01p-8F + value * 0x1.010102p-24F;
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
      for_each_sample(split.uint8s, indices, width, out.data(),
                      [width](const std::uint8_t* from, float* to) {
                        std::transform(from, from + width, to,
                                       [](std::uint8_t byte) { return fraction_of(byte); });
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

std::string sample_format(const Dataset& dataset) {
  std::string out;
  for (const std::int64_t extent : dataset.sample_shape)
    out += text(out.empty() ? "" : " x ", extent);
  return text(out, dataset.type == SampleType::kInt32 ? " ids, " : " numbers, ",
              dataset.labels_per_sample, dataset.labels_per_sample == 1 ? " label" : " labels");
}

}  // namespace coppice
