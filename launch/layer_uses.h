#pragma once
// What every layer of a finished model takes where it is deployed: bits and bytes of its
// parameters, and its share of the time of a sample. Pure but for profile_layers().

#include <cstdint>     // for int64_t
#include <functional>  // for less
#include <map>         // for map
#include <optional>    // for optional
#include <string>      // for string

#include "core/graph.h"
#include "core/quant_plan.h"
#include "deploy/runtime/program.h"

namespace coppice {

struct LayerUse {
  int bits = 0;            // the fewest that hold its codes, of 2, 3, 4, 6 and 8; 32: fp32;
                           // 0: the layer has no parameters
  std::int64_t bytes = 0;  // of all its parameters: weights, scales, bias, norms
  std::optional<double> time_share;  // of one sample's time, in [0, 1]; nothing: not measured

  friend bool operator==(const LayerUse&, const LayerUse&) = default;
};

// By the layer's name; one for every layer of the model.
using LayerUses = std::map<std::string, LayerUse, std::less<>>;

// As a .cpk stores them (runtime::cpk_bytes), which is written for that.
LayerUses layer_uses(const runtime::Program& program);

// For graphs that the runtime does not have a form of: weights at the bits of the plan, nothing
// coded or deflated, and 2 bytes a scale; what it does not name, and biases, at 4 bytes a value.
LayerUses layer_uses(const Graph& graph, const QuantPlan& plan);

// Runs `program` on made-up samples and fills in the time shares; a layer that is folded into the
// one before it has 0. Takes about a second at most for programs of which a sample takes less.
// Throws ModelError for a program that the runtime does not run.
void profile_layers(const runtime::Program& program, LayerUses& uses);

// The cells of a table: "8", "" without parameters; "12.3%", "-" where nothing was measured.
std::string bits_text(const LayerUse& use);
std::string time_text(const LayerUse& use);

std::int64_t total_bytes(const LayerUses& uses);

}  // namespace coppice
