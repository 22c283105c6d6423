#pragma once
// Which layers MemorySpec::freeze_first leaves as they are. Internal to models/. Pure.

#include <cstddef>  // for size_t
#include <cstdint>  // for int64_t

#include "core/graph.h"

namespace coppice {

// The beginning of a graph, in its order, that is not trained. What it reads has no gradient: the
// layers before any of its layers are in it too.
struct FrozenPart {
  std::size_t nodes = 0;
  std::int64_t parameters = 0;  // elements at the arena's beginning
};

// The first `layers` layers with weights, and the norms behind them. Norms do not count, for they
// are folded into the layers before them on the way to integers.
FrozenPart frozen_part(const Graph& graph, std::int64_t layers);

// Layers with weights.
std::int64_t weight_layers(const Graph& graph);

}  // namespace coppice
