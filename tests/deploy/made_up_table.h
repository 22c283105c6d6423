#pragma once
// A latency table without a device: times that can be worked out by hand.

#include <cstdint>
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

inline LatencyEntry made_up_entry(const TimedNode& node) {
  LatencyEntry entry{{node.name}, node.geometry, {}};
  if (node.bits == 0) {
    entry.grids = {{0, runtime::Layout::kRows, {1}, {node.out}, {1.0}, {kOtherUs}}};
    return entry;
  }
  for (const int bits : {8, 4}) {
    entry.grids.push_back(
        {bits, node.layout, {node.in}, {node.out}, {1.0}, {dense_us(node.in, node.out, bits)}});
    if (node.layout != runtime::Layout::kPanels) continue;
    LatencyGrid blocks{bits, runtime::Layout::kBlocks, {node.in}, {node.out}, {}, {}};
    for (const double density : {0.125, 0.25, 0.5, 1.0}) {
      blocks.density.push_back(density);
      blocks.microseconds.push_back(blocks_us(node.in, node.out, density));
    }
    entry.grids.push_back(std::move(blocks));
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

inline LatencyTable made_up_table(const Graph& graph) {
  LatencyTable table{.cpu = "made up", .isa = "none", .version = "0", .network_sha256 = "00"};
  table.reference_us = 1.0;
  for (const TimedNode& node : timed_nodes(lower_in_rows(in_integers(graph))))
    table.entries.push_back(made_up_entry(node));
  return table;
}

}  // namespace coppice
