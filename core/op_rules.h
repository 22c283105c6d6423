#pragma once
// What an operation means to the passes of core: shapes and parameters, multiply-accumulates,
// channel coupling, and what becomes of its attributes when channels go. One OpRules a line of
// ops.def, defined in core/ops/. Pure functions.

#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/error.h"
#include "core/graph.h"
#include "core/text.h"

namespace coppice {

// A node whose inputs are known and whose output is being worked out.
struct NodeView {
  OpKind op;
  const std::string& name;
  const Attributes& attributes;
  std::span<const Shape> inputs;  // shapes of the inputs' outputs
};

// Throws ConfigError "layer 'conv1' (conv2d): ...".
template <typename... Parts>
[[noreturn]] void fail_layer(const NodeView& node, const Parts&... parts) {
  throw ConfigError(text("layer '", node.name, "' (", op_info(node.op).name, "): ", parts...));
}

// The channel axis: 0 of an image {C, H, W}, the last of a sequence or vector.
inline std::size_t channel_axis(const Shape& shape) {
  return shape.size() == 3 ? 0 : shape.size() - 1;
}
inline std::int64_t channel_count(const Shape& shape) { return shape.at(channel_axis(shape)); }

// Channel labels are numbered by the coupling pass; equal roots are removed together.
using Labels = std::vector<int>;

class CouplingPass {
 public:
  virtual ~CouplingPass() = default;
  virtual const Node& node() const = 0;
  virtual const Shape& input_shape(std::size_t input) const = 0;
  virtual const Labels& input(std::size_t input) const = 0;
  virtual Labels fresh(std::int64_t count) = 0;   // one new family of labels
  virtual void unite(int a, int b) = 0;           // removed together from now on
  virtual void freeze(const Labels& labels) = 0;  // never removed
  // The indices along `axis` of the node's `ordinal`-th parameter belong to `labels`.
  // `is_produced`: the axis counts the node's own channels (filters), not the ones it reads.
  virtual void mark(std::size_t ordinal, std::size_t axis, Labels labels, bool is_produced) = 0;
};

// How many indices survive along an axis of the node's parameters.
class KeptAxes {
 public:
  virtual ~KeptAxes() = default;
  virtual std::int64_t kept(std::size_t ordinal, std::size_t axis) const = 0;
};

struct OpRules {
  // Shape of the output; throws ConfigError through fail_layer.
  Shape (*shape)(const NodeView&);
  // Names are suffixes ("weight"); offsets are filled in by the graph. Called after shape().
  std::vector<ParameterSpec> (*parameters)(const NodeView&);
  std::int64_t (*macs)(const NodeView&, const Shape& output);
  // Labels of the output's channels.
  Labels (*couple)(CouplingPass&);
  void (*shrink)(Attributes&, const Shape& input, const KeptAxes&);
};

const OpRules& op_rules(OpKind op);

// Throws ConfigError "`what`: ..." unless there are 1 to 4 axes of 1 to kMaxAxis and at most
// kMaxElements elements, so that no later arithmetic on sizes can overflow.
inline constexpr std::int64_t kMaxAxis = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;
void check_size(std::string_view what, const Shape& shape);

// Pieces that many operations share.
namespace ops {

std::vector<ParameterSpec> no_parameters(const NodeView&);
std::int64_t no_macs(const NodeView&, const Shape&);
Labels pass_labels(CouplingPass& pass);  // the only input's
void keep_attributes(Attributes&, const Shape&, const KeptAxes&);

// Checks the number of inputs, or that the first input is an image, a vector, ...
void need_inputs(const NodeView& node, std::size_t count);
void need_image(const NodeView& node);
void need_rank(const NodeView& node, std::size_t input, std::size_t rank, const char* what);
void need_positive(const NodeView& node, const char* attribute, std::int64_t value);

ParameterSpec kaiming(std::string name, Shape shape, std::int64_t fan_in);
ParameterSpec constant(std::string name, Shape shape, bool is_one, bool is_trainable = true);

Labels repeat_blocks(const Labels& labels, std::int64_t times);  // a b -> a b a b
Labels repeat_each(const Labels& labels, std::int64_t times);    // a b -> a a b b

#define COPPICE_OP(name, coupling, onnx, runtime) extern const OpRules name##_rules;
#include "core/ops.def"
#undef COPPICE_OP

}  // namespace ops
}  // namespace coppice
