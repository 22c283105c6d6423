#pragma once
// Which layers are stored in 4x4 blocks and which densely: by a latency table of the device, or by
// a rule. A function of weights and table alone, so that a model is written the same everywhere.

#include <optional>  // for optional
#include <string>    // for string
#include <vector>    // for vector

#include "core/json.h"
#include "deploy/latency_table.h"
#include "deploy/runtime/program.h"

namespace coppice {

// Without a table: the largest share of blocks with weights at which they are stored as blocks.
// Below where both take as long with AVX2 (docs/results/2026-11-22-runtime.md): windows of 3 x 3
// break even at about 0.65 of 8 bits and 0.8 of 4, which dense products unpack as they multiply.
constexpr double most_block_density(bool is_convolution, int bits) {
  if (!is_convolution) return 0.3;
  return bits == 4 ? 0.7 : 0.5;
}

struct LayoutChoice {
  std::size_t node_index = 0;
  std::string node;
  runtime::Layout layout = runtime::Layout::kRows;
  double block_density = 1.0;           // 1 where weights cannot be in blocks
  std::optional<double> dense_us = {};  // by the table, of what is possible
  std::optional<double> blocks_us = {};
  std::string reason = {};  // a sentence
};

// One for every conv2d and linear, in the program's order. `table` may be null. Throws ConfigError
// as LatencyTable::microseconds() if the table is of another network.
std::vector<LayoutChoice> choose_layouts(const runtime::Program& program,
                                         const LatencyTable* table);

// The same for a program whose layouts stand, as a file has them: `layout` is the program's, and
// the reason says so where it is not what would be chosen.
std::vector<LayoutChoice> explain_layouts(const runtime::Program& program,
                                          const LatencyTable* table);

// `program` with its weights in these orders.
runtime::Program with_layouts(runtime::Program program, const std::vector<LayoutChoice>& choices);
// In those that choose_layouts() gives.
runtime::Program with_chosen_layouts(runtime::Program program, const LatencyTable* table);

// [{layer, layout, block_density, dense_us, blocks_us, reason}]; times that are not known are null.
Json layouts_json(const std::vector<LayoutChoice>& choices);

}  // namespace coppice
