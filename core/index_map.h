#pragma once
// Where the elements of a smaller arena came from: one that was shrunk, or the part of one that a
// mask keeps. Plain value.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/mask.h"

namespace coppice {

class IndexMap {
 public:
  IndexMap() = default;
  // `source[i]` is the old index of new element i: ascending, distinct, in [0, old_size). Throws
  // ConfigError otherwise.
  IndexMap(std::int64_t old_size, std::vector<std::int64_t> source);
  static IndexMap identity(std::int64_t size);
  // The elements that `mask` keeps: between an arena and what of it travels.
  static IndexMap kept_by(const Mask& mask);

  std::int64_t old_size() const { return old_size_; }
  std::int64_t new_size() const { return static_cast<std::int64_t>(source_.size()); }
  std::span<const std::int64_t> source() const { return source_; }

  // The kept values of an array in the old layout. Throws ConfigError unless it has old_size()
  // values.
  std::vector<float> gather(std::span<const float> old_values) const;
  // The same of a mask.
  Mask gather_mask(const Mask& old_mask) const;

  // An array in the old layout with `new_values` where they came from and zeros elsewhere. Throws
  // ConfigError unless there are new_size() values.
  std::vector<float> scatter(std::span<const float> new_values) const;

  // This map followed by `next`: old layout of this -> new layout of `next`.
  IndexMap then(const IndexMap& next) const;

  friend bool operator==(const IndexMap&, const IndexMap&) = default;

 private:
  std::int64_t old_size_ = 0;
  std::vector<std::int64_t> source_;
};

}  // namespace coppice
