#pragma once
// What commands show of models and runs: aligned columns for people, and the same facts as JSON for
// scripts. Pure.

#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"
#include "core/json.h"
#include "deploy/validation.h"
#include "launch/device/text_table.h"
#include "launch/layer_uses.h"

namespace coppice {

// 1234567 -> "1,234,567".
std::string with_commas(std::int64_t value);
// 0.8912 -> "89.12%"; null -> "-".
std::string percent(const Json& value);
// "4.2 s", "3:05 min".
std::string duration(double seconds);

// One row a layer: shape, MACs, parameters, bytes, coupling group; a row of totals at the end. With
// `dense`, the graph that `graph` was shrunk from, groups show how many of their units are left
// ("conv1 4/6"). With `uses`, of a finished model, also the channels that are left, the bits of a
// stored weight and the share of time, and the bytes are those as shipped. Throws ConfigError if an
// operation's coupling is "not yet".
std::string layer_table(const Graph& graph, const Graph* dense = nullptr,
                        const LayerUses* uses = nullptr);
// {layers: [...], coupling_groups: [...], total: {...}}. What `uses` adds is null where it is not
// known.
Json layers_json(const Graph& graph, const Graph* dense = nullptr, const LayerUses* uses = nullptr);

// One row a coupling group that can be pruned: its layers, units kept and units of `dense`.
std::string kept_table(const Graph& graph, const Graph& dense);

// A value of a constraint with its unit: "21,771 B", "134.772 us", "99.48%".
std::string quantity(const std::string& constraint, double value);

// A line for each constraint, and if one is not met, which binds most and the best reached.
std::string verdict_table(std::span<const Verdict> verdicts);

// The dense control beside the result: parameters, bytes, accuracy, seconds a round; then retention
// and constraints.
std::string closing_table(const Json& summary, const std::vector<Json>& metrics);

}  // namespace coppice
