#pragma once
// How a model becomes integers: which parameters are stored in few bits on which grid, and which
// tensors between nodes are 8-bit. One definition for fake quantization in training, the
// interpreter, the runtime and ONNX. Part of the model's hash. Plain value; owned by the server.
//
//   weights      symmetric, one scale per index c of axis 0:
//                code = clamp(round_half_even(w / scale[c]), -limit, limit), limit = 2^(bits-1) -
//                1; 7 bits lie in bytes as 8 do, but no 16-bit sum of two products with a code of 8
//                unsigned bits can saturate: 2 x 255 x 63 < 2^15
//   activations  unsigned 8-bit, one scale and zero point a tensor:
//                code = clamp(round_half_even(x / scale) + zero_point, 0, 255)
//   bias         of a conv2d or linear whose input is quantized: int32 on the grid
//                input scale x weight scale[c]; the accumulator is int32
//   output       accumulator x (input scale x weight scale[c] / output scale), a fp32 multiplier,
//                rounded half to even, plus zero point, saturated
// A quantized parameter of any other node is dequantized where it is used (weights only).

#include <cstdint>      // for int64_t
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"

namespace coppice {

struct WeightQuant {
  std::string parameter;      // ParameterSpec::name
  int bits = 8;               // 2, 3, 4, 6, 7 or 8; each parameter its own
  std::vector<float> scales;  // one an index of axis 0; positive, finite

  friend bool operator==(const WeightQuant&, const WeightQuant&) = default;
};

// The output of `node` is stored as codes. Nodes that only move values (max_pool2d, flatten,
// dropout) are not named: their output has the grid of their input.
struct ActivationQuant {
  std::string node;  // Node::name
  float scale = 1.0F;
  int zero_point = 0;  // in [0, 255]

  friend bool operator==(const ActivationQuant&, const ActivationQuant&) = default;
};

// Whether weights can have codes of so many bits.
bool is_weight_bits(std::int64_t bits);

// The largest magnitude of a code: 2^(bits - 1) - 1, of 8 bits 127, of 2 bits 1.
int largest_code(int bits);

// Bits that a code takes before a file makes them fewer: codes of 7 take 8.
int stored_bits(int bits);

// Bits of the codes that the runtime multiplies: of up to 4 bits 4, of others 8.
int multiplied_bits(int bits);

struct QuantPlan {
  // In the graph's order; what is not named stays fp32.
  std::vector<WeightQuant> weights;
  std::vector<ActivationQuant> activations;

  bool is_empty() const { return weights.empty() && activations.empty(); }
  const WeightQuant* weight(std::string_view parameter) const;     // null: fp32
  const ActivationQuant* activation(std::string_view node) const;  // null: fp32

  friend bool operator==(const QuantPlan&, const QuantPlan&) = default;
};

// The grid of a node's output: its own, or through nodes that only move values (max_pool2d,
// flatten, dropout, slice, last_step) that of their input. Null: fp32.
const ActivationQuant* grid_of(const Graph& graph, const QuantPlan& plan, int node);

// Whether the operation only moves values, so that codes pass through it.
bool moves_values(OpKind op);

// Mean stored_bits() of a parameter of `graph`; what the plan does not name has 32.
double mean_bits(const QuantPlan& plan, const Graph& graph);

// The plan as canonical JSON, and back. Throws DataError for JSON that is not a plan of `graph`:
// unknown or repeated names, bits that weights cannot have, scales of another number or not
// positive.
std::string to_json(const QuantPlan& plan);
QuantPlan quant_plan_from_json(const std::string& json, const Graph& graph);

}  // namespace coppice
