// Operations on sequences [batch, steps, features] and on ids.

#include <array>   // for array
#include <cmath>   // for sqrt
#include <limits>  // for numeric_limits

#include "deploy/onnx/op_call.h"

namespace coppice::onnx_export {
namespace {

using Integers = std::vector<std::int64_t>;

constexpr std::int64_t kStepAxis = 1;

// One of attention's four projections; parameters are weight and, if there is one, bias.
std::string project(const OpCall& call, const std::string& stem, std::size_t part,
                    const std::string& x, const std::string& name) {
  const bool has_bias = call.node.attributes.bias;
  const std::size_t first = part * (has_bias ? 2 : 1);
  const std::string columns =
      call.writer.node("Transpose", call.part(stem + "_columns"), {call.parameters[first]},
                       {{"perm", Integers{1, 0}}});
  std::string product =
      call.writer.node("MatMul", has_bias ? call.part(stem + "_product") : name, {x, columns});
  if (!has_bias) return product;
  return call.writer.node("Add", name, {product, call.parameters[first + 1]});
}

// [batch, steps, heads * size] as [batch, heads, steps, size], or with the last two exchanged.
std::string split_heads(const OpCall& call, const std::string& stem, const std::string& x,
                        const std::string& shape, const Integers& order) {
  const std::string split = call.writer.node("Reshape", call.part(stem + "_split"), {x, shape});
  return call.writer.node("Transpose", call.part(stem + "_heads"), {split}, {{"perm", order}});
}

// Scores of what lies ahead become so small that softmax gives exactly zero.
std::string hide_future(const OpCall& call, const std::string& scores) {
  const std::int64_t steps = call.node.shape[0];
  std::vector<float> hidden(static_cast<std::size_t>(steps * steps));
  for (std::int64_t i = 0; i < steps; ++i) {
    for (std::int64_t j = i + 1; j < steps; ++j)
      hidden[static_cast<std::size_t>(i * steps + j)] = std::numeric_limits<float>::lowest();
  }
  const std::string future = call.writer.constant(call.part("future"), {steps, steps}, hidden);
  return call.writer.node("Add", call.part("causal"), {scores, future});
}

}  // namespace

std::string write_embedding(const OpCall& call) {
  return call.writer.node("Gather", call.node.name, {call.parameters[0], call.inputs[0]},
                          {{"axis", std::int64_t{0}}});
}

std::string write_positions(const OpCall& call) {
  return call.writer.node("Add", call.node.name, {call.inputs[0], call.parameters[0]});
}

// softmax(Q K^T / sqrt(size)) V a head (Vaswani et al. 2017, eq. 1).
std::string write_attention(const OpCall& call) {
  GraphWriter& writer = call.writer;
  const Attributes& a = call.node.attributes;
  const std::int64_t width = call.node.shape[1];
  const std::int64_t size = a.head_size > 0 ? a.head_size : width / a.heads;
  const std::string split = writer.shape_constant(call.part("split"), {0, 0, a.heads, size});
  const std::string joined = writer.shape_constant(call.part("joined"), {0, 0, a.heads * size});
  const std::string factor =
      writer.scalar(call.part("factor"), 1.0F / std::sqrt(static_cast<float>(size)));

  const std::array<std::string, 3> stems{"query", "key", "value"};
  const std::array<Integers, 3> orders{Integers{0, 2, 1, 3}, Integers{0, 2, 3, 1},
                                       Integers{0, 2, 1, 3}};
  std::array<std::string, 3> heads;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string x =
        project(call, stems[i], i, call.inputs[0], call.part(stems[i] + "_projected"));
    heads[i] = split_heads(call, stems[i], x, split, orders[i]);
  }
  const std::string products = writer.node("MatMul", call.part("products"), {heads[0], heads[1]});
  std::string scores = writer.node("Mul", call.part("scores"), {products, factor});
  if (a.causal) scores = hide_future(call, scores);
  const std::string shares =
      writer.node("Softmax", call.part("shares"), {scores}, {{"axis", std::int64_t{-1}}});
  const std::string mixed = writer.node("MatMul", call.part("mixed"), {shares, heads[2]});
  const std::string steps =
      writer.node("Transpose", call.part("steps"), {mixed}, {{"perm", Integers{0, 2, 1, 3}}});
  const std::string features = writer.node("Reshape", call.part("features"), {steps, joined});
  return project(call, "output", 3, features, call.node.name);
}

std::string write_last_step(const OpCall& call) {
  const std::int64_t last = call.input_shapes[0][0] - 1;
  const std::string index =
      call.writer.constant(call.part("last"), {}, std::span<const std::int64_t>(&last, 1));
  return call.writer.node("Gather", call.node.name, {call.inputs[0], index}, {{"axis", kStepAxis}});
}

}  // namespace coppice::onnx_export
