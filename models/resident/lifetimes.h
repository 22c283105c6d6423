#pragma once
// When in a training step each tensor of a plan is needed, and what stands in for it between its
// last reader in the forward and its first in the backward pass. Internal to models/resident. Pure.

#include <cstddef>   // for size_t
#include <optional>  // for optional
#include <vector>    // for vector

#include "core/graph.h"
#include "models/resident/draft.h"

namespace coppice::resident {

// Moments, both ends included: step s runs forward at s, the loss at the number of steps S, and
// step s backward at 2 S - s.
struct Window {
  std::size_t first = 0;
  std::size_t last = 0;
};

struct SlotLife {
  std::vector<Window> values;  // one, or two with codes in between
  std::optional<Window> gradient;
  std::optional<Window> codes;  // made at its first moment, read at its last
  bool is_one_chunk = false;    // of a block: see StepLife::is_pooled
};

struct StepLife {
  // Of the bits that the step's backward reads in place of values: the signs of its output, if it
  // does a ReLU, else what its kernel keeps.
  std::optional<Window> bits;
  // A convolution that does the next step, a max pool, as well, chunk by chunk.
  bool is_pooled = false;
};

struct Lifetimes {
  std::vector<SlotLife> slots;
  std::vector<StepLife> steps;
};

Lifetimes lifetimes(const Graph& graph, const Draft& draft, const PlanOptions& options);

// Of a field that can count the positions of a pool's window.
std::int64_t winner_bits(const Node& pool);

}  // namespace coppice::resident
