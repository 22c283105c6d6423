#include "launch/tables.h"

#include <fmt/core.h>

#include <algorithm>  // for max
#include <map>        // for map
#include <optional>   // for optional
#include <set>        // for set

#include "core/coupling.h"
#include "core/text.h"
#include "launch/ending_text.h"

namespace coppice {
namespace {

// A graph's coupling groups and, by name, how many units they had in the dense graph.
struct Groups {
  Coupling coupling;
  std::map<std::string, std::size_t> dense_units;

  Groups(const Graph& graph, const Graph* dense) : coupling(couple(graph)) {
    if (dense == nullptr) return;
    for (const CouplingGroup& group : couple(*dense).groups)
      dense_units[group.name] = group.units.size();
  }

  // Nothing if there is no dense graph, or it has no such group.
  const std::size_t* units_before(const CouplingGroup& group) const {
    const auto found = dense_units.find(group.name);
    return found == dense_units.end() ? nullptr : &found->second;
  }

  std::string label(const CouplingGroup& group) const {
    if (!group.is_prunable) return group.name + " (fixed)";
    const std::size_t* before = units_before(group);
    if (before != nullptr) return fmt::format("{} {}/{}", group.name, group.units.size(), *before);
    return fmt::format("{} ({} units)", group.name, group.units.size());
  }

  // The groups that own the outputs of each parameter.
  std::map<int, std::set<int>> of_parameters() const {
    std::map<int, std::set<int>> out;
    for (const AxisUnits& axis : coupling.axes) {
      if (!axis.is_produced || axis.units.empty()) continue;
      out[axis.parameter].insert(
          coupling.group_of_unit[static_cast<std::size_t>(axis.units.front())]);
    }
    return out;
  }
};

const CouplingGroup& group_at(const Coupling& coupling, int index) {
  return coupling.groups[static_cast<std::size_t>(index)];
}

std::set<int> groups_of(const Node& node, const std::map<int, std::set<int>>& of_parameters) {
  std::set<int> out;
  for (const int parameter : node.parameters) {
    const auto found = of_parameters.find(parameter);
    if (found != of_parameters.end()) out.insert(found->second.begin(), found->second.end());
  }
  return out;
}

Json cost_json(const NodeCost& cost) {
  Json out;
  out.set("macs", cost.macs);
  out.set("parameters", cost.parameter_bytes / 4);
  out.set("parameter_bytes", cost.parameter_bytes);
  out.set("activation_bytes", cost.activation_bytes);
  return out;
}

// The output channels of a layer's first parameter; nothing if it has none.
std::optional<std::int64_t> channels_of(const Graph& graph, const Node& node) {
  if (node.parameters.empty()) return std::nullopt;
  return graph.parameters()[static_cast<std::size_t>(node.parameters.front())].shape.front();
}

std::optional<std::int64_t> channels_of(const Graph* graph, const std::string& layer) {
  const int index = graph == nullptr ? -1 : graph->node_named(layer);
  if (index < 0) return std::nullopt;
  return channels_of(*graph, graph->nodes()[static_cast<std::size_t>(index)]);
}

// "4/6", or "4" where the dense graph is not known.
std::string channels_text(const Graph& graph, const Node& node, const Graph* dense) {
  const auto kept = channels_of(graph, node);
  if (!kept) return {};
  const auto before = channels_of(dense, node.name);
  return before ? text(*kept, '/', *before) : std::to_string(*kept);
}

void add_use(Json& layer, const Graph& graph, const Node& node, const Graph* dense,
             const LayerUse& use) {
  const auto channels = channels_of(graph, node);
  const auto before = channels_of(dense, node.name);
  layer.set("channels", channels ? Json(*channels) : Json());
  layer.set("dense_channels", before ? Json(*before) : Json());
  layer.set("bits", use.bits == 0 ? Json() : Json(use.bits));
  layer.set("stored_bytes", use.bytes);
  layer.set("time_share", use.time_share ? Json(*use.time_share) : Json());
}

// The rows of layer_table(), with the columns of a finished model if its uses are known.
class LayerRows {
 public:
  LayerRows(const Graph& graph, const Graph* dense, const LayerUses* uses)
      : graph_(graph),
        dense_(dense),
        uses_(uses),
        table_(uses == nullptr ? Table({"layer", "op", "output", "MACs", "parameters", "bytes",
                                        "coupling group"},
                                       "lllrrrl")
                               : Table({"layer", "op", "output", "MACs", "parameters", "channels",
                                        "bits", "bytes", "time", "coupling group"},
                                       "lllrrrrrrl")) {}

  void add(const Node& node, const std::string& groups) {
    const NodeCost cost = graph_.cost(node);
    std::vector<std::string> cells = {node.name, std::string(op_info(node.op).name),
                                      shape_text(node.shape), with_commas(cost.macs),
                                      with_commas(cost.parameter_bytes / 4)};
    if (uses_ == nullptr) {
      cells.push_back(with_commas(cost.parameter_bytes));
    } else {
      const LayerUse& use = uses_->at(node.name);
      cells.insert(cells.end(), {channels_text(graph_, node, dense_), bits_text(use),
                                 with_commas(use.bytes), time_text(use)});
    }
    cells.push_back(groups);
    table_.add(std::move(cells));
  }

  std::string text() {
    const NodeCost total = graph_.total_cost();
    std::vector<std::string> cells = {"total", "", "", with_commas(total.macs),
                                      with_commas(graph_.parameter_count())};
    if (uses_ == nullptr) {
      cells.push_back(with_commas(total.parameter_bytes));
    } else {
      cells.insert(cells.end(), {"", "", with_commas(total_bytes(*uses_)), ""});
    }
    cells.emplace_back();
    table_.add(std::move(cells));
    return table_.text();
  }

 private:
  const Graph& graph_;
  const Graph* dense_;
  const LayerUses* uses_;
  Table table_;
};

// Mean seconds of a track's rounds in the second half.
double late_seconds(const std::vector<Json>& metrics, bool is_control) {
  std::vector<double> seconds;
  for (const Json& line : metrics) {
    if ((line.at("phase").as_text() == "control") == is_control)
      seconds.push_back(line.at("seconds").as_number());
  }
  if (seconds.empty()) return 0.0;
  const std::size_t first = seconds.size() / 2;
  double sum = 0.0;
  for (std::size_t i = first; i < seconds.size(); ++i) sum += seconds[i];
  return sum / static_cast<double>(seconds.size() - first);
}

}  // namespace

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::size_t sign = value < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > 3 + sign; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string percent(const Json& value) {
  return value.is_number() ? fmt::format("{:.2f}%", 100.0 * value.as_number()) : "-";
}

std::string duration(double seconds) {
  if (seconds < 60.0) return fmt::format("{:.1f} s", seconds);
  return fmt::format("{}:{:02} min", static_cast<int>(seconds) / 60,
                     static_cast<int>(seconds) % 60);
}

std::string layer_table(const Graph& graph, const Graph* dense, const LayerUses* uses) {
  const Groups groups(graph, dense);
  const auto of_parameters = groups.of_parameters();
  LayerRows rows(graph, dense, uses);
  for (const Node& node : graph.nodes()) {
    std::vector<std::string> labels;
    for (const int group : groups_of(node, of_parameters)) {
      labels.push_back(groups.label(group_at(groups.coupling, group)));
    }
    rows.add(node, join(labels));
  }
  return rows.text();
}

Json layers_json(const Graph& graph, const Graph* dense, const LayerUses* uses) {
  const Groups groups(graph, dense);
  const auto of_parameters = groups.of_parameters();
  Json::Array layers;
  for (const Node& node : graph.nodes()) {
    Json layer;
    layer.set("name", node.name);
    layer.set("op", op_info(node.op).name);
    layer.set("output", Json::array(node.shape));
    const Json cost = cost_json(graph.cost(node));
    for (const auto& [key, value] : cost.as_object()) layer.set(key, value);
    if (uses != nullptr) add_use(layer, graph, node, dense, uses->at(node.name));
    Json::Array names;
    for (const int group : groups_of(node, of_parameters))
      names.emplace_back(group_at(groups.coupling, group).name);
    layer.set("coupling_groups", std::move(names));
    layers.push_back(std::move(layer));
  }
  Json::Array coupled;
  for (const CouplingGroup& group : groups.coupling.groups) {
    const std::size_t* before = groups.units_before(group);
    Json entry;
    entry.set("name", group.name);
    entry.set("layers", Json::array(group.layers));
    entry.set("prunable", group.is_prunable);
    entry.set("units", static_cast<std::int64_t>(group.units.size()));
    if (dense != nullptr)
      entry.set("dense_units", before == nullptr ? Json() : static_cast<std::int64_t>(*before));
    coupled.push_back(std::move(entry));
  }
  Json out;
  out.set("layers", std::move(layers));
  out.set("coupling_groups", std::move(coupled));
  Json total = cost_json(graph.total_cost());
  if (uses != nullptr) total.set("stored_bytes", total_bytes(*uses));
  out.set("total", std::move(total));
  return out;
}

std::string kept_table(const Graph& graph, const Graph& dense) {
  const Groups groups(graph, &dense);
  Table table({"coupling group", "layers", "kept", "dense", ""}, "llrrr");
  for (const CouplingGroup& group : groups.coupling.groups) {
    const std::size_t* before = groups.units_before(group);
    if (!group.is_prunable || before == nullptr) continue;
    const double kept = static_cast<double>(group.units.size()) / static_cast<double>(*before);
    table.add({group.name, join(group.layers), std::to_string(group.units.size()),
               std::to_string(*before), fmt::format("{:.0f}%", 100.0 * kept)});
  }
  return table.text();
}

namespace {

// How far a constraint is from being met: limit over measured for what must be small, measured over
// limit for what must be large; below 1 it is missed.
double slack(const Verdict& verdict) {
  if (!verdict.measured) return 0.0;
  const bool must_be_large = verdict.name == "min_retention";
  return must_be_large ? *verdict.measured / verdict.limit : verdict.limit / *verdict.measured;
}

std::vector<Verdict> verdicts_of(const Json& constraints) {
  std::vector<Verdict> out;
  for (const auto& [name, entry] : constraints.as_object()) {
    const Json& measured = entry.at("measured");
    out.push_back(
        {.name = name,
         .limit = entry.at("limit").as_number(),
         .measured = measured.is_number() ? std::optional(measured.as_number()) : std::nullopt,
         .is_met = entry.at("met").as_bool()});
  }
  return out;
}

}  // namespace

std::string quantity(const std::string& constraint, double value) {
  if (constraint == "min_retention") return fmt::format("{:.2f}%", 100.0 * value);
  const bool is_time = constraint.starts_with("max_latency");
  return is_time ? fmt::format("{:.6g} us", value)
                 : with_commas(static_cast<std::int64_t>(value)) + " B";
}

std::string verdict_table(std::span<const Verdict> verdicts) {
  if (verdicts.empty()) return {};
  const auto binding = std::ranges::min_element(verdicts, {}, slack);
  Table table({"constraint", "limit", "measured", ""}, "lrrl");
  for (const Verdict& verdict : verdicts) {
    const std::string state = verdict.is_met ? "met" : "NOT MET";
    table.add({verdict.name, quantity(verdict.name, verdict.limit),
               verdict.measured ? quantity(verdict.name, *verdict.measured) : "not measured",
               !verdict.is_met && &verdict == &*binding ? state + ", binding" : state});
  }
  std::string out = '\n' + table.text();
  if (!binding->is_met && binding->measured) {
    out += fmt::format("the target is not met: {} binds; the best reached is {}\n", binding->name,
                       quantity(binding->name, *binding->measured));
  }
  return out;
}

std::string closing_table(const Json& summary, const std::vector<Json>& metrics) {
  const bool has_control = late_seconds(metrics, true) > 0.0;
  const auto count = [&](const char* key) { return with_commas(summary.at(key).as_integer()); };
  const auto bytes = [&](const char* key) { return human_bytes(summary.at(key).as_number()); };
  Table table({"", "dense control", "result"}, "lrr");
  table.add({"parameters", count("dense_parameters"), count("parameters")});
  table.add({"bytes", bytes("dense_bytes"), bytes("model_bytes")});
  table.add({"test accuracy", percent(summary.at("dense_accuracy")),
             percent(summary.at("final_accuracy"))});
  table.add({"seconds a round, 2nd half",
             has_control ? fmt::format("{:.2f}", late_seconds(metrics, true)) : "-",
             fmt::format("{:.2f}", late_seconds(metrics, false))});
  std::string out = table.text();
  out += fmt::format("retention {} (test), {} (validation); sent up {}, down {}; {} in all\n",
                     percent(summary.at("retention")), percent(summary.at("validation_retention")),
                     bytes("bytes_up"), bytes("bytes_down"),
                     duration(summary.at("seconds").as_number()));
  out += verdict_table(verdicts_of(summary.at("constraints")));
  return out + ending_text(summary);
}

}  // namespace coppice
