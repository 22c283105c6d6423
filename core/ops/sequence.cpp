// embedding, positions, attention, lstm, gru and last_step: sequences {steps, features}.

#include "core/op_rules.h"

namespace coppice::ops {
namespace {

ParameterSpec normal(std::string name, Shape shape) {
  return {.name = std::move(name), .shape = std::move(shape), .initializer = Initializer::kNormal};
}

Shape embedding_shape(const NodeView& node) {
  need_inputs(node, 1);
  need_rank(node, 0, 1, "a sequence of ids");
  need_positive(node, "vocabulary", node.attributes.vocabulary);
  need_positive(node, "out", node.attributes.out);
  return {node.inputs[0][0], node.attributes.out};
}

std::vector<ParameterSpec> embedding_parameters(const NodeView& node) {
  return {normal("weight", {node.attributes.vocabulary, node.attributes.out})};
}

// The width of a model that reads sequences is shared by everything in it and is not prunable.
Labels couple_embedding(CouplingPass& pass) {
  Labels out = pass.fresh(pass.node().attributes.out);
  pass.freeze(out);
  pass.mark(0, 1, out, true);
  return out;
}

Shape sequence_shape(const NodeView& node) {
  need_inputs(node, 1);
  need_rank(node, 0, 2, "a sequence {steps, features}");
  return node.inputs[0];
}

std::vector<ParameterSpec> positions_parameters(const NodeView& node) {
  return {normal("weight", node.inputs[0])};
}

Labels couple_positions(CouplingPass& pass) {
  pass.freeze(pass.input(0));
  pass.mark(0, 1, pass.input(0), true);
  return pass.input(0);
}

std::int64_t head_size(const Attributes& a, std::int64_t width) {
  return a.head_size > 0 ? a.head_size : width / a.heads;
}

Shape attention_shape(const NodeView& node) {
  Shape shape = sequence_shape(node);
  const Attributes& a = node.attributes;
  need_positive(node, "heads", a.heads);
  // The scores are a tensor that is no node's output: heads x steps x steps.
  if (shape[0] * shape[0] > (std::int64_t{1} << 31) / a.heads) {
    fail_layer(node, a.heads, " heads over ", shape[0], " steps need more than 2^31 scores");
  }
  if (a.head_size < 0 || (a.head_size == 0 && shape[1] % a.heads != 0)) {
    fail_layer(node, "heads ", a.heads, " must divide the width ", shape[1],
               " unless head_size >= 1 is given, got ", a.head_size);
  }
  return shape;
}

std::vector<ParameterSpec> attention_parameters(const NodeView& node) {
  const std::int64_t width = node.inputs[0][1];
  const std::int64_t inner = node.attributes.heads * head_size(node.attributes, width);
  std::vector<ParameterSpec> out;
  for (const char* part : {"query", "key", "value", "output"}) {
    const bool is_output = part == std::string_view("output");
    const Shape shape = is_output ? Shape{width, inner} : Shape{inner, width};
    out.push_back(kaiming(std::string(part) + ".weight", shape, shape[1]));
    if (node.attributes.bias)
      out.push_back(kaiming(std::string(part) + ".bias", {shape[0]}, shape[1]));
  }
  return out;
}

// Four projections, and for every pair of positions one product for the score and one for the
// value.
std::int64_t attention_macs(const NodeView& node, const Shape& output) {
  const std::int64_t inner = node.attributes.heads * head_size(node.attributes, output[1]);
  return 4 * output[0] * output[1] * inner + 2 * output[0] * output[0] * inner;
}

// Whole heads go: q, k and v rows and the output's columns. The width stays.
Labels couple_attention(CouplingPass& pass) {
  const Attributes& a = pass.node().attributes;
  const std::int64_t width = pass.input_shape(0)[1];
  const Labels inner = repeat_each(pass.fresh(a.heads), head_size(a, width));
  const std::size_t step = a.bias ? 2 : 1;
  for (std::size_t part = 0; part < 3; ++part) {
    pass.mark(part * step, 0, inner, true);
    pass.mark(part * step, 1, pass.input(0), false);
    if (a.bias) pass.mark(part * step + 1, 0, inner, true);
  }
  Labels out = pass.fresh(width);
  pass.freeze(out);
  pass.mark(3 * step, 0, out, true);
  pass.mark(3 * step, 1, inner, false);
  if (a.bias) pass.mark(3 * step + 1, 0, out, true);
  return out;
}

void shrink_attention(Attributes& a, const Shape& input, const KeptAxes& axes) {
  a.head_size = head_size(a, input[1]);
  a.heads = axes.kept(0, 0) / a.head_size;
}

template <int kGates>
Shape recurrent_shape(const NodeView& node) {
  const Shape shape = sequence_shape(node);
  need_positive(node, "hidden", node.attributes.hidden);
  return {shape[0], node.attributes.hidden};
}

template <int kGates>
std::vector<ParameterSpec> recurrent_parameters(const NodeView& node) {
  const std::int64_t hidden = node.attributes.hidden;
  const std::int64_t rows = kGates * hidden;
  return {kaiming("weight_ih", {rows, node.inputs[0][1]}, hidden),
          kaiming("weight_hh", {rows, hidden}, hidden), kaiming("bias_ih", {rows}, hidden),
          kaiming("bias_hh", {rows}, hidden)};
}

template <int kGates>
std::int64_t recurrent_macs(const NodeView& node, const Shape& output) {
  return output[0] * kGates * output[1] * (node.inputs[0][1] + output[1]);
}

// Hidden unit j is one row of every gate, the recurrent column j, and its consumers' column.
template <int kGates>
Labels couple_recurrent(CouplingPass& pass) {
  Labels out = pass.fresh(pass.node().attributes.hidden);
  const Labels rows = repeat_blocks(out, kGates);
  for (std::size_t parameter = 0; parameter < 4; ++parameter) pass.mark(parameter, 0, rows, true);
  pass.mark(0, 1, pass.input(0), false);
  pass.mark(1, 1, out, false);
  return out;
}

void shrink_recurrent(Attributes& a, const Shape&, const KeptAxes& axes) {
  a.hidden = axes.kept(1, 1);
}

Shape last_step_shape(const NodeView& node) { return {sequence_shape(node)[1]}; }

void shrink_embedding(Attributes& a, const Shape&, const KeptAxes& axes) {
  a.out = axes.kept(0, 1);
}

}  // namespace

const OpRules embedding_rules{embedding_shape, embedding_parameters, no_macs, couple_embedding,
                              shrink_embedding};
const OpRules positions_rules{sequence_shape, positions_parameters, no_macs, couple_positions,
                              keep_attributes};
const OpRules attention_rules{attention_shape, attention_parameters, attention_macs,
                              couple_attention, shrink_attention};
const OpRules lstm_rules{recurrent_shape<4>, recurrent_parameters<4>, recurrent_macs<4>,
                         couple_recurrent<4>, shrink_recurrent};
const OpRules gru_rules{recurrent_shape<3>, recurrent_parameters<3>, recurrent_macs<3>,
                        couple_recurrent<3>, shrink_recurrent};
const OpRules last_step_rules{last_step_shape, no_parameters, no_macs, pass_labels,
                              keep_attributes};

}  // namespace coppice::ops
