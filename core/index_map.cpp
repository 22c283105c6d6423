#include "core/index_map.h"

#include <numeric>  // for iota

#include "core/error.h"
#include "core/text.h"

namespace coppice {

IndexMap::IndexMap(std::int64_t old_size, std::vector<std::int64_t> source)
    : old_size_(old_size), source_(std::move(source)) {
  std::int64_t previous = -1;
  for (const std::int64_t index : source_) {
    if (index <= previous || index >= old_size_) {
      throw ConfigError(text("index map: ", index, " after ", previous,
                             ", expected ascending in 0..", old_size_ - 1));
    }
    previous = index;
  }
}

IndexMap IndexMap::identity(std::int64_t size) {
  std::vector<std::int64_t> source(static_cast<std::size_t>(size));
  std::iota(source.begin(), source.end(), std::int64_t{0});
  return {size, std::move(source)};
}

IndexMap IndexMap::kept_by(const Mask& mask) { return {mask.size(), mask.kept_indices()}; }

Mask IndexMap::gather_mask(const Mask& old_mask) const {
  if (old_mask.size() != old_size_) {
    throw ConfigError(
        text("index map: expected a mask of ", old_size_, " elements, got ", old_mask.size()));
  }
  Mask mask(new_size(), false);
  for (std::size_t i = 0; i < source_.size(); ++i)
    mask.set(static_cast<std::int64_t>(i), old_mask.keeps(source_[i]));
  return mask;
}

std::vector<float> IndexMap::scatter(std::span<const float> new_values) const {
  if (static_cast<std::int64_t>(new_values.size()) != new_size()) {
    throw ConfigError(text("index map: expected ", new_size(), " values, got ", new_values.size()));
  }
  std::vector<float> out(static_cast<std::size_t>(old_size_));
  for (std::size_t i = 0; i < source_.size(); ++i)
    out[static_cast<std::size_t>(source_[i])] = new_values[i];
  return out;
}

std::vector<float> IndexMap::gather(std::span<const float> old_values) const {
  if (static_cast<std::int64_t>(old_values.size()) != old_size_) {
    throw ConfigError(text("index map: expected ", old_size_, " values of the old layout, got ",
                           old_values.size()));
  }
  std::vector<float> out;
  out.reserve(source_.size());
  for (const std::int64_t index : source_)
    out.push_back(old_values[static_cast<std::size_t>(index)]);
  return out;
}

IndexMap IndexMap::then(const IndexMap& next) const {
  if (next.old_size_ != new_size()) {
    throw ConfigError(
        text("index map: expected a next map of ", new_size(), " values, got ", next.old_size_));
  }
  std::vector<std::int64_t> source;
  source.reserve(next.source_.size());
  for (const std::int64_t index : next.source_)
    source.push_back(source_[static_cast<std::size_t>(index)]);
  return {old_size_, std::move(source)};
}

}  // namespace coppice
