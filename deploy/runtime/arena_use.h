#pragma once
// Whether the buffer planner's arena is what a run needs: found by running, not by planning.

#include <cstdint>  // for int64_t
#include <span>     // for span

#include "deploy/runtime/engine.h"

namespace coppice::runtime {

struct ArenaUse {
  std::int64_t planned_bytes = 0;     // of the arena
  std::int64_t high_water_bytes = 0;  // up to the last byte that a run writes
  std::int64_t written_bytes = 0;     // that it writes at all; the others lie between tensors
};

// Runs `sample` twice, on an arena of ones and on one of zeros, and looks which bytes are left.
// Throws ModelError for another size of sample, and if the two runs differ, since then one has read
// what no run wrote.
ArenaUse arena_use(Engine& engine, std::span<const float> sample);

}  // namespace coppice::runtime
