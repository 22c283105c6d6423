#pragma once
// A model as a typed graph: nodes in topological order, shapes inferred, parameters named.
// Training, cost analysis, structured pruning, export and the runtime are passes over it; nothing
// outside models/ knows an architecture.
//
// The batch dimension is symbolic and not written: a shape is that of one sample. Images are
// {channels, height, width}, sequences {steps, features}, vectors {features}. A Graph is immutable;
// any thread may read it.

#include <array>        // for array
#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

using Shape = std::vector<std::int64_t>;

std::int64_t element_count(std::span<const std::int64_t> shape);
std::string shape_text(std::span<const std::int64_t> shape);  // "6x24x24"

enum class OpKind {
#define COPPICE_OP(name, coupling, onnx, runtime) name,
#include "core/ops.def"
#undef COPPICE_OP
};

enum class Capability { not_yet, yes };

struct OpInfo {
  OpKind op;
  std::string_view name;
  Capability coupling;
  Capability onnx;
  Capability runtime;
};

std::span<const OpInfo> known_ops();  // in the order of OpKind
const OpInfo& op_info(OpKind op);
OpKind op_named(std::string_view name);  // throws ConfigError, naming the nearest known ones

using Integer = std::int64_t;
using Real = double;
using Flag = bool;
using Pair = std::array<std::int64_t, 2>;

// What an operation may be told; which of them an operation reads, attributes.def says.
struct Attributes {
#define COPPICE_ATTRIBUTE(type, name, ...) type name = __VA_ARGS__;
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE

  friend bool operator==(const Attributes&, const Attributes&) = default;
};

// A layer as a user writes it: the input of Graph::build and what checkpoints store. `inputs` names
// earlier layers; empty means the layer before (the graph's input for the first).
struct LayerSpec {
  std::string op;
  std::string name;  // empty: op and a running number, "conv2d1"
  std::vector<std::string> inputs;
  Attributes attributes;

  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

enum class ElementType { kFloat32, kInt32 };  // of an input; kInt32: ids

// What one sample looks like and what the outputs mean. Travels with every checkpoint.
struct InputSpec {
  Shape shape;
  ElementType type = ElementType::kFloat32;
  std::int64_t labels_per_sample = 1;    // logits are {classes} or {steps, classes}
  std::vector<std::string> label_names;  // empty, or one a class

  friend bool operator==(const InputSpec&, const InputSpec&) = default;
};

enum class Initializer { kKaimingUniform, kOnes, kZeros, kNormal };

struct ParameterSpec {
  std::string name;          // "conv1.weight"
  Shape shape;               // weights: [out, in, ...]
  std::int64_t offset = 0;   // first element in the arena
  bool is_trainable = true;  // false: batch_norm's statistics
  Initializer initializer = Initializer::kZeros;
  // kKaimingUniform: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for layers and their
  // biases; kNormal: N(0, 0.02^2).
  std::int64_t fan_in = 1;

  std::int64_t size() const { return element_count(shape); }
};

// Work and storage of one node, for one sample.
struct NodeCost {
  std::int64_t macs = 0;  // multiply-accumulates of convolutions, matrix products and interactions
  std::int64_t parameter_bytes = 0;   // fp32
  std::int64_t activation_bytes = 0;  // fp32, of the node's output

  friend bool operator==(const NodeCost&, const NodeCost&) = default;
};

struct Node {
  OpKind op = OpKind::input;
  std::string name;
  std::vector<int> inputs;  // indices of earlier nodes
  Attributes attributes;
  Shape shape;                  // of the output, one sample
  std::vector<int> parameters;  // indices into Graph::parameters()
};

class Graph {
 public:
  // An empty graph (no nodes), only to be assigned to.
  Graph() = default;

  // Infers everything. The first node is the input; the last layer's output is the model's. Throws
  // ConfigError naming the layer for unknown ops or inputs, duplicate names, shapes that do not
  // fit, sizes out of range (an axis above 2^24, a tensor or all parameters above 2^31 elements),
  // dead layers (used by nothing and not last).
  static Graph build(InputSpec input, std::vector<LayerSpec> layers);

  const InputSpec& input() const { return input_; }
  const std::vector<LayerSpec>& layers() const { return layers_; }  // names filled in
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  std::int64_t parameter_count() const { return parameter_count_; }  // arena size, floats
  const Node& output() const { return nodes_.back(); }
  int node_named(std::string_view name) const;       // -1 if there is none
  int parameter_named(std::string_view name) const;  // -1 if there is none

  NodeCost cost(const Node& node) const;
  NodeCost total_cost() const;  // sums; activation_bytes: of all nodes

  // Canonical JSON: input spec and layers, only attributes that differ from their defaults, in a
  // fixed order.
  std::string to_json() const;
  // Throws DataError for JSON that is not one, ConfigError for a graph that build() refuses.
  static Graph from_json(std::string_view json);

  friend bool operator==(const Graph& a, const Graph& b) {
    return a.input_ == b.input_ && a.layers_ == b.layers_;
  }

 private:
  InputSpec input_;
  std::vector<LayerSpec> layers_;
  std::vector<Node> nodes_;
  std::vector<ParameterSpec> parameters_;
  std::int64_t parameter_count_ = 0;
};

}  // namespace coppice
