#pragma once
// A latency table without a device: times that can be worked out by hand.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/quantize.h"
#include "core/checkpoint.h"
#include "core/parameter_arena.h"
#include "deploy/latency_table.h"
#include "deploy/lower.h"

namespace coppice {

inline constexpr double kOtherUs = 0.5;  // of a node without weights

// Of a product, by its channels (of a flattened image: the image's): dense weights of 4 bits take
// half as long again as those of 8; in blocks all take their share and a fifth.
inline double dense_us(std::int64_t in, std::int64_t out, int bits) {
  return static_cast<double>(in * out) * (bits == 4 ? 0.15 : 0.1);
}
inline double blocks_us(std::int64_t in, std::int64_t out, double density) {
  return static_cast<double>(in * out) * 0.1 * (density + 0.2);
}

// Widths from `least` channels on, of which times are exact: those of products are bilinear.
inline std::vector<std::int64_t> widths_up_to(std::int64_t most, std::int64_t least) {
  return least < most ? std::vector<std::int64_t>{least, most} : std::vector<std::int64_t>{most};
}

inline LatencyGrid with_times(LatencyGrid grid) {
  for (const std::int64_t in : grid.in) {
    for (const std::int64_t out : grid.out) {
      for (const double density : grid.density) {
        const bool is_blocks = grid.layout == runtime::Layout::kBlocks;
        grid.microseconds.push_back(is_blocks ? blocks_us(in, out, density)
                                              : dense_us(in, out, grid.bits));
      }
    }
  }
  return grid;
}

// `least`: channels of the narrowest network that it is for; none: of the network as it is alone.
inline LatencyEntry made_up_entry(const TimedNode& node,
                                  std::optional<std::int64_t> least = std::nullopt) {
  LatencyEntry entry{{node.name}, node.geometry, {}};
  const std::vector<std::int64_t> in = widths_up_to(node.in, least.value_or(node.in));
  const std::vector<std::int64_t> out = widths_up_to(node.out, least.value_or(node.out));
  if (node.bits == 0) {
    entry.grids = {{0, runtime::Layout::kRows, {1}, out, {1.0}}};
    for (const std::int64_t width : out) {
      const double share = static_cast<double>(width) / static_cast<double>(node.out);
      entry.grids.back().microseconds.push_back(kOtherUs * share);
    }
    return entry;
  }
  for (const int bits : {8, 4}) {
    entry.grids.push_back(with_times({bits, node.layout, in, out, {1.0}}));
    if (node.layout != runtime::Layout::kPanels) continue;
    entry.grids.push_back(
        with_times({bits, runtime::Layout::kBlocks, in, out, {0.125, 0.25, 0.5, 1.0}}));
  }
  return entry;
}

// `graph` in integers of 8 bits, whatever its weights.
inline Checkpoint in_integers(const Graph& graph) {
  Checkpoint checkpoint;
  checkpoint.graph = graph;
  const ParameterArena arena = initial_parameters(graph, 1);
  checkpoint.parameters.assign(arena.values().begin(), arena.values().end());
  checkpoint.plan.weights = weight_grids(graph, checkpoint.parameters, 8);
  for (const std::string& node : quantized_nodes(graph))
    checkpoint.plan.activations.push_back({.node = node, .scale = 0.05F, .zero_point = 100});
  return checkpoint;
}

inline LatencyTable made_up_table(const Graph& graph,
                                  std::optional<std::int64_t> least = std::nullopt) {
  LatencyTable table{.cpu = "made up", .isa = "none", .version = "0", .network_sha256 = "00"};
  table.reference_us = 1.0;
  for (const TimedNode& node : timed_nodes(lower_in_rows(in_integers(graph))))
    table.entries.push_back(made_up_entry(node, least));
  return table;
}

}  // namespace coppice
