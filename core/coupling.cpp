#include "core/coupling.h"

#include <algorithm>  // for max, min, fill
#include <map>        // for map
#include <numeric>    // for iota, accumulate
#include <set>        // for set

#include "core/error.h"
#include "core/op_rules.h"
#include "core/text.h"

namespace coppice {
namespace {

// Sets that only ever join; the smallest member is the root, so results do not depend on the order
// of unions.
class DisjointSets {
 public:
  int add() {
    parent_.push_back(static_cast<int>(parent_.size()));
    return parent_.back();
  }
  int root(int i) {
    while (at(i) != i) i = at(i) = at(at(i));
    return i;
  }
  void unite(int a, int b) {
    a = root(a);
    b = root(b);
    at(std::max(a, b)) = std::min(a, b);
  }
  int size() const { return static_cast<int>(parent_.size()); }

 private:
  int& at(int i) { return parent_[static_cast<std::size_t>(i)]; }
  std::vector<int> parent_;
};

// A layer that makes only some of a group's units could lose all of them while the group keeps
// others.
void freeze_partly_made(Coupling& coupling) {
  for (const AxisUnits& axis : coupling.axes) {
    if (!axis.is_produced) continue;
    std::map<int, std::set<int>> made;
    for (const int unit : axis.units) {
      made[coupling.group_of_unit[static_cast<std::size_t>(unit)]].insert(unit);
    }
    for (const auto& [group, units] : made) {
      CouplingGroup& all = coupling.groups[static_cast<std::size_t>(group)];
      if (units.size() < all.units.size()) all.is_prunable = false;
    }
  }
}

// Walks the graph once and gives every channel a label; a family is what one layer produced.
class Labelling final : public CouplingPass {
 public:
  explicit Labelling(const Graph& graph) : graph_(graph), outputs_(graph.nodes().size()) {
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
      node_ = &graph.nodes()[i];
      if (op_info(node_->op).coupling == Capability::not_yet) {
        throw ConfigError(text("layer '", node_->name, "': pruning through ",
                               op_info(node_->op).name, " is not there yet"));
      }
      outputs_[i] = op_rules(node_->op).couple(*this);
    }
    freeze(outputs_.back());
  }

  const Node& node() const override { return *node_; }
  const Shape& input_shape(std::size_t input) const override {
    return graph_.nodes()[source(input)].shape;
  }
  const Labels& input(std::size_t input) const override { return outputs_[source(input)]; }

  Labels fresh(std::int64_t count) override {
    const int family = families_.add();
    family_names_.push_back(node_->name);
    Labels out;
    for (std::int64_t i = 0; i < count; ++i) {
      out.push_back(labels_.add());
      family_of_.push_back(family);
      frozen_.push_back(false);
    }
    return out;
  }

  void unite(int a, int b) override {
    labels_.unite(a, b);
    families_.unite(family_of(a), family_of(b));
  }

  void freeze(const Labels& labels) override {
    for (const int label : labels) frozen_[static_cast<std::size_t>(label)] = true;
  }

  void mark(std::size_t ordinal, std::size_t axis, Labels labels, bool is_produced) override {
    axes_.push_back({node_->parameters.at(ordinal), axis, is_produced, std::move(labels)});
  }

  Coupling result();

 private:
  std::size_t source(std::size_t input) const {
    return static_cast<std::size_t>(node_->inputs.at(input));
  }
  int family_of(int label) const { return family_of_[static_cast<std::size_t>(label)]; }

  const Graph& graph_;
  const Node* node_ = nullptr;
  std::vector<Labels> outputs_;
  DisjointSets labels_;
  DisjointSets families_;
  std::vector<std::string> family_names_;
  std::vector<int> family_of_;
  std::vector<bool> frozen_;
  std::vector<AxisUnits> axes_;
};

// Renumbers label roots as units and family roots as groups, both in order of first appearance.
Coupling Labelling::result() {
  Coupling out;
  std::map<int, int> group_of_root;
  for (int family = 0; family < families_.size(); ++family) {
    const auto [found, is_new] =
        group_of_root.emplace(families_.root(family), static_cast<int>(out.groups.size()));
    if (is_new)
      out.groups.push_back({family_names_[static_cast<std::size_t>(family)], {}, {}, true});
    out.groups[static_cast<std::size_t>(found->second)].layers.push_back(
        family_names_[static_cast<std::size_t>(family)]);
  }
  std::vector<int> unit_of(static_cast<std::size_t>(labels_.size()));
  for (int label = 0; label < labels_.size(); ++label) {
    const auto root = static_cast<std::size_t>(labels_.root(label));
    const auto i = static_cast<std::size_t>(label);
    const auto group = static_cast<std::size_t>(group_of_root.at(families_.root(family_of(label))));
    if (root == i) {
      unit_of[i] = out.unit_count++;
      out.group_of_unit.push_back(static_cast<int>(group));
      out.groups[group].units.push_back(unit_of[i]);
    } else {
      unit_of[i] = unit_of[root];
    }
    if (frozen_[i]) out.groups[group].is_prunable = false;
  }
  out.axes = std::move(axes_);
  for (AxisUnits& axis : out.axes) {
    for (int& label : axis.units) label = unit_of[static_cast<std::size_t>(label)];
  }
  freeze_partly_made(out);
  return out;
}

// For every axis of every parameter the indices that survive.
class Survivors final : public KeptAxes {
 public:
  Survivors(const Graph& graph, const Coupling& coupling, std::span<const std::uint8_t> keep)
      : graph_(graph) {
    for (const ParameterSpec& parameter : graph.parameters()) {
      std::vector<std::vector<std::int64_t>> axes;
      for (const std::int64_t length : parameter.shape) {
        axes.emplace_back(static_cast<std::size_t>(length));
        std::iota(axes.back().begin(), axes.back().end(), std::int64_t{0});
      }
      kept_.push_back(std::move(axes));
    }
    for (const AxisUnits& axis : coupling.axes) {
      std::vector<std::int64_t>& indices =
          kept_[static_cast<std::size_t>(axis.parameter)][axis.axis];
      std::erase_if(indices, [&](std::int64_t index) {
        return keep[static_cast<std::size_t>(axis.units[static_cast<std::size_t>(index)])] == 0;
      });
    }
  }

  void select(const Node& node) { node_ = &node; }
  std::int64_t kept(std::size_t ordinal, std::size_t axis) const override {
    return static_cast<std::int64_t>(indices(node_->parameters.at(ordinal)).at(axis).size());
  }

  const std::vector<std::vector<std::int64_t>>& indices(int parameter) const {
    return kept_[static_cast<std::size_t>(parameter)];
  }

  std::int64_t count() const {
    std::int64_t total = 0;
    for (const auto& axes : kept_) {
      std::int64_t product = 1;
      for (const auto& indices : axes) product *= static_cast<std::int64_t>(indices.size());
      total += product;
    }
    return total;
  }

  // Old arena index of every surviving element, in the new arena's order.
  std::vector<std::int64_t> sources() const {
    std::vector<std::int64_t> out;
    out.reserve(static_cast<std::size_t>(count()));
    for (std::size_t p = 0; p < kept_.size(); ++p)
      append(graph_.parameters()[p], kept_[p], 0, 0, out);
    return out;
  }

 private:
  static void append(const ParameterSpec& parameter,
                     const std::vector<std::vector<std::int64_t>>& axes, std::size_t axis,
                     std::int64_t base, std::vector<std::int64_t>& out) {
    for (const std::int64_t index : axes[axis]) {
      const std::int64_t flat = base * parameter.shape[axis] + index;
      if (axis + 1 == axes.size()) {
        out.push_back(parameter.offset + flat);
      } else {
        append(parameter, axes, axis + 1, flat, out);
      }
    }
  }

  const Graph& graph_;
  const Node* node_ = nullptr;
  std::vector<std::vector<std::vector<std::int64_t>>> kept_;
};

void check_keep(const Coupling& coupling, std::span<const std::uint8_t> keep) {
  if (static_cast<int>(keep.size()) != coupling.unit_count) {
    throw ConfigError(
        text("shrink: expected a choice for ", coupling.unit_count, " units, got ", keep.size()));
  }
  for (const CouplingGroup& group : coupling.groups) {
    std::size_t kept = 0;
    for (const int unit : group.units) kept += keep[static_cast<std::size_t>(unit)] != 0 ? 1 : 0;
    if (kept < group.units.size() && !group.is_prunable) {
      throw ConfigError("shrink: the channels of '" + group.name + "' cannot be removed");
    }
    if (kept == 0) throw ConfigError("shrink: '" + group.name + "' would lose all of its channels");
  }
}

// Calls visit(flat arena index, unit) for every element of every labelled axis that `wanted`
// accepts.
template <typename Wanted, typename Visit>
void visit_elements(const Graph& graph, const Coupling& coupling, Wanted&& wanted, Visit&& visit) {
  for (const AxisUnits& axis : coupling.axes) {
    const ParameterSpec& parameter = graph.parameters()[static_cast<std::size_t>(axis.parameter)];
    if (!wanted(axis, parameter)) continue;
    const std::int64_t inner = element_count(std::span(parameter.shape).subspan(axis.axis + 1));
    const std::int64_t length = parameter.shape[axis.axis];
    for (std::int64_t i = 0; i < parameter.size(); ++i) {
      visit(axis, parameter.offset + i, axis.units[static_cast<std::size_t>(i / inner % length)]);
    }
  }
}

}  // namespace

std::vector<int> Coupling::prunable_groups() const {
  std::vector<int> out;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].is_prunable) out.push_back(static_cast<int>(i));
  }
  return out;
}

Coupling couple(const Graph& graph) { return Labelling(graph).result(); }

Shrunk shrink(const Graph& graph, const Coupling& coupling, std::span<const std::uint8_t> keep) {
  check_keep(coupling, keep);
  Survivors survivors(graph, coupling, keep);
  std::vector<LayerSpec> layers = graph.layers();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Node& node = graph.nodes()[i + 1];  // node 0 is the input
    survivors.select(node);
    const Shape& input = graph.nodes()[static_cast<std::size_t>(node.inputs.front())].shape;
    op_rules(node.op).shrink(layers[i].attributes, input, survivors);
  }
  Shrunk out{Graph::build(graph.input(), std::move(layers)),
             IndexMap(graph.parameter_count(), survivors.sources())};
  for (std::size_t p = 0; p < out.graph.parameters().size(); ++p) {
    const Shape& shape = out.graph.parameters()[p].shape;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (static_cast<std::size_t>(shape[axis]) !=
          survivors.indices(static_cast<int>(p))[axis].size()) {
        throw Error("shrink: parameter '" + out.graph.parameters()[p].name +
                    "' has another shape than its survivors");
      }
    }
  }
  return out;
}

std::int64_t kept_parameters(const Graph& graph, const Coupling& coupling,
                             std::span<const std::uint8_t> keep) {
  return Survivors(graph, coupling, keep).count();
}

void zero_units(const Graph& graph, const Coupling& coupling, std::span<const std::uint8_t> keep,
                std::span<float> arena) {
  visit_elements(
      graph, coupling, [](const AxisUnits& axis, const ParameterSpec&) { return axis.is_produced; },
      [&](const AxisUnits&, std::int64_t index, int unit) {
        if (keep[static_cast<std::size_t>(unit)] == 0)
          arena[static_cast<std::size_t>(index)] = 0.0F;
      });
}

std::vector<double> unit_magnitudes(const Graph& graph, const Coupling& coupling,
                                    std::span<const float> arena) {
  std::vector<double> scores(static_cast<std::size_t>(coupling.unit_count));
  std::vector<double> squares(scores.size());
  for (const AxisUnits& axis : coupling.axes) {
    std::fill(squares.begin(), squares.end(), 0.0);
    visit_elements(
        graph, coupling,
        [&](const AxisUnits& other, const ParameterSpec& parameter) {
          return &other == &axis && parameter.is_trainable && !parameter.name.ends_with("bias");
        },
        [&](const AxisUnits&, std::int64_t index, int unit) {
          const double value = arena[static_cast<std::size_t>(index)];
          squares[static_cast<std::size_t>(unit)] += value * value;
        });
    const double total = std::accumulate(squares.begin(), squares.end(), 0.0);
    if (!(total > 0.0)) continue;
    const auto units =
        static_cast<double>(std::set<int>(axis.units.begin(), axis.units.end()).size());
    for (std::size_t unit = 0; unit < scores.size(); ++unit)
      scores[unit] += squares[unit] * units / total;
  }
  return scores;
}

std::vector<double> unit_products(const Graph& graph, const Coupling& coupling,
                                  std::span<const float> values, std::span<const float> factors) {
  std::vector<double> sums(static_cast<std::size_t>(coupling.unit_count));
  visit_elements(
      graph, coupling,
      [](const AxisUnits& axis, const ParameterSpec& parameter) {
        return axis.is_produced && parameter.is_trainable;
      },
      [&](const AxisUnits&, std::int64_t index, int unit) {
        const auto i = static_cast<std::size_t>(index);
        sums[static_cast<std::size_t>(unit)] += double{values[i]} * double{factors[i]};
      });
  return sums;
}

}  // namespace coppice
