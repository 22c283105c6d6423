#pragma once
// Programs that run one layer of a network by itself, at any width. Pure.

#include <cstdint>  // for int64_t

#include "core/random.h"
#include "deploy/latency_table.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/program.h"

namespace coppice {

struct Probe {
  runtime::Program program;
  std::size_t node = 0;  // the layer's; before it stand those that make its inputs
};

// What of a layer a probe has.
struct LayerVariant {
  int bits = 0;
  runtime::Layout layout = runtime::Layout::kRows;
  std::int64_t in = 1;
  std::int64_t out = 1;
  double density = 1.0;  // of 4x4 blocks, exactly, rounded up to whole blocks of four channels
};

// The layer `node` of `program` with made-up weights, or parameters, that are not zero but in
// empty blocks. Inputs have the grids or values that it reads in `program`.
Probe make_probe(const runtime::Program& program, const TimedNode& node,
                 const LayerVariant& candidate);

// Zeroes all but the share `density` of the 4x4 blocks of `rows` (codes in rows of `shape`),
// anywhere, rounded up to a whole number of blocks for each four output channels.
void empty_blocks(runtime::Weights& rows, const runtime::ProductShape& shape, double density,
                  RandomStream& random);

}  // namespace coppice
