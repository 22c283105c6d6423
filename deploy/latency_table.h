#pragma once
// How long every layer of one network takes on one device, by width, bits of its weights and share
// of 4x4 blocks that hold any. Measured by deploy/latency_measurement.h; a table of another device
// may come from a file. Plain values and pure functions; any thread.
//
// A node is found by its name and its geometry, all that its time depends on but the axes of a
// grid: so a table of a network holds for everything that pruning makes of it.

#include <cstdint>      // for int64_t
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/program.h"

namespace coppice {

// What a node takes at every combination of some widths and densities; each axis ascends. Channels
// are those of an image, features else; `in` are those of one group. A node that multiplies nothing
// has one kind of channels, those of its output: `in` is {1} and bits are 0.
struct LatencyGrid {
  int bits = 0;  // of weights as they are multiplied: 8, 4, 32 (fp32)
  runtime::Layout layout = runtime::Layout::kRows;
  std::vector<std::int64_t> in;
  std::vector<std::int64_t> out;
  std::vector<double> density = {};       // of blocks; {1} in other layouts
  std::vector<double> microseconds = {};  // [in][out][density]

  // Out of a product is rounded up to a multiple of 8 (blocks: 4), which kernels work in, if that
  // is within the grid; then all three are interpolated, linearly. Below an axis its first entry
  // holds (density: the line through the first two goes on, to a tenth of the first at the lowest).
  // Above it nothing does: see holds().
  double at(std::int64_t in_channels, std::int64_t out_channels, double block_density) const;
  bool holds(std::int64_t in_channels, std::int64_t out_channels) const {
    return in_channels <= in.back() && out_channels <= out.back();
  }

  friend bool operator==(const LatencyGrid&, const LatencyGrid&) = default;
};

struct LatencyEntry {
  std::vector<std::string> nodes;  // which all have the geometry
  std::string geometry;
  std::vector<LatencyGrid> grids;  // one for each kind of weights

  friend bool operator==(const LatencyEntry&, const LatencyEntry&) = default;
};

// A node of a program that takes time, as the engine runs it.
struct TimedNode {
  std::size_t index = 0;  // of the program's nodes
  std::string name;
  std::string geometry;
  int bits = 0;
  runtime::Layout layout = runtime::Layout::kRows;
  std::int64_t in = 1;
  std::int64_t out = 1;
  double density = 1.0;
};
// In the program's order; nodes that are folded into others or change nothing are left out. Throws
// ConfigError for a program that the engine leaves to the interpreter, runtime::ModelError as
// runtime::infer().
std::vector<TimedNode> timed_nodes(const runtime::Program& program);

// The image, with its channels, whose elements a linear reads; empty if they are no image's. Its
// columns are pixels by channels, however many channels are left.
runtime::Shape flat_image(const runtime::Program& program, const runtime::Inference& inference,
                          const runtime::Node& node);

struct LatencyTable {
  std::string cpu;
  std::string isa;             // of the engine
  std::string version;         // Coppice's
  std::string network_sha256;  // network_digest() of what was measured
  double reference_us = 0.0;   // of the loop that every time was scaled by
  std::vector<LatencyEntry> entries = {};

  // Throws ConfigError naming the node if the table has none of its name and geometry, or none of
  // its bits or width.
  double microseconds(const TimedNode& node) const;
  // Of one sample: the sum over all nodes.
  double predict(const runtime::Program& program) const;

  friend bool operator==(const LatencyTable&, const LatencyTable&) = default;
};

// SHA-256, in hex, over names, geometries and widths of `program`: the same for all weights.
std::string network_digest(const runtime::Program& program);

// One line of JSON, and back (docs/formats.md). Throws DataError "`what`: ..." for anything that
// to_json() did not write.
std::string to_json(const LatencyTable& table);
LatencyTable latency_table_from_json(std::string_view json, std::string_view what);

// "panels" and so on.
std::string_view layout_name(runtime::Layout layout);

}  // namespace coppice
