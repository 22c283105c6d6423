#pragma once
// Inputs of small graphs, in one word.

#include <cstdint>
#include <utility>

#include "core/graph.h"

namespace coppice {

inline InputSpec numbers(Shape shape) {
  InputSpec input;
  input.shape = std::move(shape);
  return input;
}

// n ids with one label for all of them, or one each.
inline InputSpec ids(std::int64_t n, std::int64_t labels = 1) {
  InputSpec input = numbers({n});
  input.type = ElementType::kInt32;
  input.labels_per_sample = labels;
  return input;
}

}  // namespace coppice
