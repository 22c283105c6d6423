#pragma once
// All parameters of a graph in one flat, 64-byte-aligned fp32 buffer, with a view a parameter.
// Gradient, momentum, update and mask have the same layout, so optimizer, delta, clip and encode
// are single passes over memory. The arena owns its memory; the graph's ParameterSpecs say what
// lies where. Not thread-safe.

#include <cstdint>      // for uint64_t
#include <span>         // for span
#include <string_view>  // for string_view

#include "core/aligned_buffer.h"
#include "core/graph.h"

namespace coppice {

class ParameterArena {
 public:
  ParameterArena() = default;
  // Zeros of the layout of `graph`.
  explicit ParameterArena(const Graph& graph)
      : values_(static_cast<std::size_t>(graph.parameter_count())) {}
  explicit ParameterArena(std::span<const float> values) : values_(values) {}

  std::int64_t size() const { return static_cast<std::int64_t>(values_.size()); }
  std::span<float> values() { return values_.span(); }
  std::span<const float> values() const { return values_.span(); }

  std::span<float> view(const ParameterSpec& parameter);
  std::span<const float> view(const ParameterSpec& parameter) const;

 private:
  AlignedBuffer values_;
};

// Initial weights: every parameter by its Initializer from Philox of (seed, kInitialWeights,
// parameter index).
ParameterArena initial_parameters(const Graph& graph, std::uint64_t seed);

}  // namespace coppice
