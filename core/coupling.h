#pragma once
// Which channels must go together when one goes. A *unit* is the smallest set of channels, and the
// slices of parameters that belong to them, that can be removed without changing what the rest
// computes: a filter with its norm's scale and its consumers' columns; the same channel of every
// convolution that a residual adds; 8 channels of a group norm; an attention head; a hidden unit of
// a recurrent layer. Units of one layer form a *group*, the thing a pruner ranks within.
//
// Pure values, computed from a Graph; any thread may read them.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/graph.h"
#include "core/index_map.h"

namespace coppice {

// The unit that each index along one axis of one parameter belongs to.
struct AxisUnits {
  int parameter = 0;  // index into Graph::parameters()
  std::size_t axis = 0;
  bool is_produced = true;  // the layer's own channels (filters); false: those it reads
  std::vector<int> units;   // one an index
};

struct CouplingGroup {
  std::string name;                 // of the first layer that produces its channels
  std::vector<std::string> layers;  // all that produce them
  std::vector<int> units;           // in channel order
  // False: the input, the output, a transformer's width, and a group of which one layer makes only
  // some units (concat added to another layer).
  bool is_prunable = false;
};

struct Coupling {
  int unit_count = 0;
  std::vector<int> group_of_unit;
  std::vector<CouplingGroup> groups;
  std::vector<AxisUnits> axes;

  std::vector<int> prunable_groups() const;
};

// Throws ConfigError naming the node if an op's coupling is "not yet".
Coupling couple(const Graph& graph);

struct Shrunk {
  Graph graph;
  IndexMap map;  // old arena -> new arena
};

// The graph without the units whose `keep` is 0 (one entry a unit). Throws ConfigError if a unit of
// a group that is not prunable would go, or a group would lose all of its units.
Shrunk shrink(const Graph& graph, const Coupling& coupling, std::span<const std::uint8_t> keep);

// Parameters that remain under `keep`, without building the graph.
std::int64_t kept_parameters(const Graph& graph, const Coupling& coupling,
                             std::span<const std::uint8_t> keep);

// Zeroes, in an arena of `graph`, every produced slice of the units whose `keep` is 0: what "zeroed
// equals removed" zeroes.
void zero_units(const Graph& graph, const Coupling& coupling, std::span<const std::uint8_t> keep,
                std::span<float> arena);

// Sum of squares of all elements of each parameter slice, a unit: the magnitude that pruners score.
// Each parameter is first divided by its mean square over the units it holds, so that layers of
// different scale vote alike; parameters named "bias" and untrainable ones do not count. One score
// a unit.
std::vector<double> unit_magnitudes(const Graph& graph, const Coupling& coupling,
                                    std::span<const float> arena);

// The sum of values[i] * factors[i] over everything that produces a unit, biases and norms too, and
// is trained: with a gradient as the factors, what the loss would change by to first order if the
// unit went, with the sign turned. Both arenas of `graph`; one sum a unit, added in double in the
// order of the parameters.
std::vector<double> unit_products(const Graph& graph, const Coupling& coupling,
                                  std::span<const float> values, std::span<const float> factors);

}  // namespace coppice
