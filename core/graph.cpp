#include "core/graph.h"

#include <algorithm>  // for find
#include <map>        // for map
#include <set>        // for set

#include "core/op_rules.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxLayers = 10'000;

constexpr Capability capability(std::string_view word) {
  return word == "yes" ? Capability::yes : Capability::not_yet;
}

constexpr OpInfo kOps[] = {
#define COPPICE_OP(name, coupling, onnx, runtime) \
  {OpKind::name, #name, capability(#coupling), capability(#onnx), capability(#runtime)},
#include "core/ops.def"
#undef COPPICE_OP
};

// Attributes before inference multiplies them: nothing a file says may overflow.
void check_attributes(const LayerSpec& layer) {
  const auto check = [&](std::string_view name, std::int64_t value) {
    if (value < 0 || value > kMaxAxis) {
      throw ConfigError(text("layer '", layer.name, "' (", layer.op, "): ", name, " = ", value,
                             ", expected 0..", kMaxAxis));
    }
  };
  struct Check {
    const decltype(check)& one;
    void operator()(std::string_view name, Integer value) const { one(name, value); }
    void operator()(std::string_view name, const Pair& value) const {
      one(name, value[0]);
      one(name, value[1]);
    }
    void operator()(std::string_view, Real) const {}
    void operator()(std::string_view, Flag) const {}
  } const visit{check};
#define COPPICE_ATTRIBUTE(type, name, ...) visit(#name, layer.attributes.name);
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
}

class Builder {
 public:
  Builder(const InputSpec& input, std::vector<LayerSpec>& layers) : layers_(layers) {
    nodes_.reserve(layers.size() + 1);
    check_size("input", input.shape);
    if (input.shape.size() > 3)
      throw ConfigError("input: expected at most 3 axes, got " + shape_text(input.shape));
    add_node(OpKind::input, "input", {}, {}, std::span(&input.shape, 1));
  }

  void add_layers() {
    if (layers_.empty() || layers_.size() > kMaxLayers) {
      throw ConfigError(text("model: expected 1..", kMaxLayers, " layers, got ", layers_.size()));
    }
    for (LayerSpec& layer : layers_) add_layer(layer);
    check_used();
  }

  std::vector<Node> take_nodes() { return std::move(nodes_); }
  std::vector<ParameterSpec> take_parameters() { return std::move(parameters_); }
  std::int64_t parameter_count() const { return parameter_count_; }

 private:
  void add_layer(LayerSpec& layer) {
    const OpKind op = op_named(layer.op);
    if (op == OpKind::input)
      throw ConfigError("layer '" + layer.name + "': the input is not a layer");
    const int running = ++counts_[layer.op];
    if (layer.name.empty()) layer.name = layer.op + std::to_string(running);
    check_name(layer.name);
    check_attributes(layer);
    if (layer.inputs.empty()) layer.inputs = {nodes_.back().name};
    std::vector<int> inputs;
    std::vector<Shape> shapes;
    for (const std::string& name : layer.inputs) {
      const auto found = index_.find(name);
      if (found == index_.end()) {
        throw ConfigError(text("layer '", layer.name, "' (", layer.op, "): input '",
                               name.substr(0, 64), "' is no earlier layer"));
      }
      inputs.push_back(found->second);
      shapes.push_back(nodes_[static_cast<std::size_t>(found->second)].shape);
    }
    if (inputs.size() > 256)
      throw ConfigError(text("layer '", layer.name, "': ", inputs.size(), " inputs"));
    add_node(op, layer.name, layer.attributes, std::move(inputs), shapes);
  }

  static void check_name(const std::string& name) {
    const bool is_plain = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '.' || c == '-';
    });
    if (!is_plain || name.size() > 128) {
      throw ConfigError(text("layer '", name.substr(0, 64),
                             "': expected a name of at most 128 letters, digits, _ . -"));
    }
  }

  void add_node(OpKind op, const std::string& name, const Attributes& attributes,
                std::vector<int> inputs, std::span<const Shape> shapes) {
    if (!index_.emplace(name, static_cast<int>(nodes_.size())).second) {
      throw ConfigError("layer '" + name + "': there are two of this name");
    }
    const NodeView view{op, name, attributes, shapes};
    const OpRules& rules = op_rules(op);
    Node node{op, name, std::move(inputs), attributes, rules.shape(view), {}};
    check_size("layer '" + name + "'", node.shape);
    for (ParameterSpec& parameter : rules.parameters(view)) {
      parameter.name = name + "." + parameter.name;
      if (!parameter_names_.insert(parameter.name).second) {
        throw ConfigError("layer '" + name + "': its parameter '" + parameter.name +
                          "' is already another layer's");
      }
      check_size("parameter '" + parameter.name + "'", parameter.shape);
      parameter.offset = parameter_count_;
      parameter_count_ += parameter.size();
      if (parameter_count_ > kMaxElements)
        throw ConfigError("model: more than 2^31 parameters at '" + name + "'");
      node.parameters.push_back(static_cast<int>(parameters_.size()));
      parameters_.push_back(std::move(parameter));
    }
    nodes_.push_back(std::move(node));
  }

  void check_used() const {
    std::vector<bool> is_used(nodes_.size());
    for (const Node& node : nodes_) {
      for (const int input : node.inputs) is_used[static_cast<std::size_t>(input)] = true;
    }
    for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) {
      if (!is_used[i]) {
        throw ConfigError("layer '" + nodes_[i].name +
                          "': its output is used by no other layer and it is not the last");
      }
    }
  }

  std::vector<LayerSpec>& layers_;
  std::vector<Node> nodes_;
  std::vector<ParameterSpec> parameters_;
  std::int64_t parameter_count_ = 0;
  std::map<std::string, int, std::less<>> index_;
  std::map<std::string, int> counts_;
  std::set<std::string> parameter_names_;
};

}  // namespace

std::int64_t element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t axis : shape) count *= axis;
  return count;
}

std::string shape_text(std::span<const std::int64_t> shape) { return join(shape, "x"); }

std::span<const OpInfo> known_ops() { return kOps; }

const OpInfo& op_info(OpKind op) { return kOps[static_cast<std::size_t>(op)]; }

OpKind op_named(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OpInfo& info : kOps) {
    if (info.name == name) return info.op;
    names.push_back(info.name);
  }
  throw ConfigError(unknown_name("op", name, names));
}

Graph Graph::build(InputSpec input, std::vector<LayerSpec> layers) {
  Graph graph;
  if (input.labels_per_sample < 1 || input.labels_per_sample > kMaxAxis) {
    throw ConfigError(
        text("input: labels_per_sample ", input.labels_per_sample, ", expected 1..", kMaxAxis));
  }
  Builder builder(input, layers);
  builder.add_layers();
  graph.input_ = std::move(input);
  graph.layers_ = std::move(layers);
  graph.nodes_ = builder.take_nodes();
  graph.parameters_ = builder.take_parameters();
  graph.parameter_count_ = builder.parameter_count();
  return graph;
}

int Graph::node_named(std::string_view name) const {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [&](const Node& node) { return node.name == name; });
  return found == nodes_.end() ? -1 : static_cast<int>(found - nodes_.begin());
}

int Graph::parameter_named(std::string_view name) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const ParameterSpec& p) { return p.name == name; });
  return found == parameters_.end() ? -1 : static_cast<int>(found - parameters_.begin());
}

NodeCost Graph::cost(const Node& node) const {
  std::vector<Shape> shapes;
  for (const int input : node.inputs)
    shapes.push_back(nodes_[static_cast<std::size_t>(input)].shape);
  NodeCost cost;
  cost.macs = op_rules(node.op).macs({node.op, node.name, node.attributes, shapes}, node.shape);
  for (const int index : node.parameters)
    cost.parameter_bytes += 4 * parameters_[static_cast<std::size_t>(index)].size();
  cost.activation_bytes = 4 * element_count(node.shape);
  return cost;
}

NodeCost Graph::total_cost() const {
  NodeCost total;
  for (const Node& node : nodes_) {
    const NodeCost one = cost(node);
    total.macs += one.macs;
    total.parameter_bytes += one.parameter_bytes;
    total.activation_bytes += one.activation_bytes;
  }
  return total;
}

}  // namespace coppice
