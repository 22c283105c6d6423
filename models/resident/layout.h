#pragma once
// Where everything of a plan lies in its arena: what is needed at the same moment of a step lies
// apart, the rest may share. Internal to models/resident. Pure.

#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "core/graph.h"
#include "models/resident/draft.h"
#include "models/resident/lifetimes.h"

namespace coppice::resident {

// Offsets in floats; none: -1.
struct SlotPlaces {
  std::int64_t values = -1;
  std::int64_t gradient = -1;
  std::int64_t codes = -1;
};

// The codes of a tensor, group after group: the words, then the bounds.
struct CodeGroups {
  std::int64_t count = 0;      // samples or chunks of a block
  std::int64_t registers = 0;  // of values, each

  std::int64_t word_registers() const { return (registers + 3) / 4; }
  std::int64_t floats(std::int64_t lanes) const { return (word_registers() + 2) * lanes; }
};

struct Layout {
  std::int64_t block_chunks = 1;
  std::int64_t block_samples = 1;  // at most block_chunks times lanes
  std::int64_t floats = 0;
  std::vector<SlotPlaces> slots;
  std::vector<std::int64_t> bits;  // by step
};

// A lane has a scale of its own in every group: of a sample, or, with channels innermost, of a
// sample's channels that share the lane.
CodeGroups code_groups(const Slot& slot, std::int64_t lanes, std::int64_t chunks,
                       std::int64_t samples);

Layout lay_out(const Graph& graph, const Draft& draft, const Lifetimes& lifetimes,
               std::int64_t lanes, std::int64_t micro_batch);

}  // namespace coppice::resident
