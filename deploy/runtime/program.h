#pragma once
// A model as the runtime knows it: nodes in topological order with their parameters as they are
// stored, codes or fp32. Plain values; shapes are never stored but inferred (inference.h).
//
// Shapes are those of one sample: images {channels, height, width}, sequences {steps, features},
// vectors {features}. How integers are computed: interpreter.h.

#include <array>        // for array
#include <cstdint>      // for int64_t
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <utility>      // for pair
#include <vector>       // for vector

namespace coppice::runtime {

using Shape = std::vector<std::int64_t>;
using Pair = std::array<std::int64_t, 2>;  // height, width

std::int64_t element_count(std::span<const std::int64_t> shape);
std::string shape_text(std::span<const std::int64_t> shape);  // "6x24x24"

enum class Op : std::uint8_t {
#define COPPICE_RUNTIME_OP(name, code, runs) name = (code),
#include "deploy/runtime/ops.def"
#undef COPPICE_RUNTIME_OP
};

struct OpInfo {
  Op op = Op::input;
  std::string_view name;
  bool runs = false;  // false: the code is reserved
};

std::span<const OpInfo> known_ops();
const OpInfo* find_op(std::uint8_t code);      // null: no such code
const OpInfo* find_op(std::string_view name);  // null: no such name
std::string_view op_name(Op op);

// max_pool2d, flatten, dropout, slice and last_step: codes pass through, on the grid of the input.
bool moves_values(Op op);

// flatten and dropout: the output is the input, element by element.
bool changes_nothing(Op op);

// The activations, normalize and add: element i of the output is made of elements i of the inputs.
bool is_elementwise(Op op);

// Unsigned 8-bit codes: value = (code - zero_point) * scale.
struct Grid {
  float scale = 1.0F;  // positive, finite
  std::uint8_t zero_point = 0;

  friend bool operator==(const Grid&, const Grid&) = default;
};

// The order in which weights lie: as the shape says, or as the engine reads them (layout.h).
enum class Layout : std::uint8_t { kRows = 0, kPanels = 1, kBlocks = 2, kDepthwise = 3 };

// Of a conv2d, [out, in / groups, height, width], or a linear, [out, in].
struct Weights {
  int bits = 32;  // 32: values; 8 or 4: codes of at most as many bits, and scales
  Layout layout = Layout::kRows;
  std::vector<float> values;  // finite
  // In [-127, 127] or [-7, 7]; value = code * scale. In another order than rows two codes of 4 bits
  // are one byte, the first in its low half.
  std::vector<std::int8_t> codes;
  std::vector<float> scales;  // one an output channel; positive, finite
  // kBlocks: how many blocks each four output channels have, and which (layout.h).
  std::vector<std::uint16_t> block_counts = {};
  std::vector<std::uint16_t> blocks = {};

  friend bool operator==(const Weights&, const Weights&) = default;
};

// Attributes are those that `op` reads; the others keep their defaults.
struct Node {
  Op op = Op::input;
  std::string name;
  std::vector<std::int32_t> inputs;  // indices of earlier nodes

  std::int64_t out = 0;     // conv2d, linear: channels
  std::int64_t groups = 1;  // conv2d
  Pair kernel{1, 1};        // conv2d, pools; axes up to 65535, as are the next two
  Pair stride{1, 1};
  Pair padding{0, 0};           // of value zero; max_pool2d ignores it
  std::int64_t group_size = 0;  // group_norm: channels a group
  float epsilon = 0.0F;         // norms
  float slope = 0.0F;           // leaky_relu
  float mean = 0.0F;            // normalize: (x - mean) / deviation
  float deviation = 1.0F;
  std::int64_t begin = 0;   // slice: first feature
  std::int64_t length = 0;  // slice: features

  std::optional<Grid> grid;  // the output is codes; never of a node that moves_values()
  Weights weights;           // conv2d, linear
  std::vector<float> bias;   // empty, or one a channel: of a conv2d or linear computed in fp32
  std::vector<std::int32_t> bias_codes;  // the same of one computed in integers, on the grid input
                                         // scale x weight scale
  std::vector<float> norm;  // norms: weight, bias and batch_norm's mean and variance, one a
                            // channel (layer_norm: a feature) each

  friend bool operator==(const Node&, const Node&) = default;
};

enum class ElementType : std::uint8_t { kFloat32 = 0, kInt32 = 1 };

struct InputSpec {
  Shape shape;  // up to 3 axes
  ElementType type = ElementType::kFloat32;
  std::int64_t labels_per_sample = 1;
  std::vector<std::string> label_names;

  friend bool operator==(const InputSpec&, const InputSpec&) = default;
};

struct Program {
  std::string name;
  std::vector<std::pair<std::string, std::string>> properties;  // free text
  std::array<std::uint8_t, 32> model_sha256{};                  // of the model this was made from
  InputSpec input;
  std::vector<Node> nodes;  // the first is the input, the last one's output is the model's

  friend bool operator==(const Program&, const Program&) = default;
};

}  // namespace coppice::runtime
