// Gemm, MatMul and Softmax: linear layers, and attention.

#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

ConstantPtr matrix_of(Call& call, std::size_t input) {
  ConstantPtr matrix = call.constant(input);
  if (matrix->dims.size() != 2)
    call.fail("weight: expected a matrix, got ", shape_text(matrix->dims));
  return matrix;
}

void check_features(Call& call, const Shape& view, const Constant& weight) {
  if (view.back() != weight.dims[1]) {
    call.fail("expected a weight for ", view.back(), " features, got ", weight.dims[1], " x ",
              weight.dims[0]);
  }
}

void multiply_weight(Call& call) {
  const ConstantPtr weight = transposed(call, *matrix_of(call, 1));
  const Projection projection{.x = {}, .weight = weight, .bias = nullptr};
  if (const auto* attention = call.get<Attention>(0);
      attention != nullptr && attention->stage == Attention::Stage::kFeatures) {
    if (weight->dims[1] != attention->heads * attention->size)
      call.fail("expected a weight for ", attention->heads, " x ", attention->size, " features");
    Attention next = *attention;
    next.projections[3] = projection;
    next.stage = Attention::Stage::kProjected;
    return call.set(next);
  }
  Projection next = projection;
  next.x = call.plain(0);
  check_features(call, next.x.view, *weight);
  call.set(next);
}

// Queries by keys, which gives scores.
void multiply_heads(Call& call, const Heads& queries, const Heads& keys) {
  const bool is_sound = queries.stage == Heads::Stage::kByHead &&
                        keys.stage == Heads::Stage::kTransposed && queries.heads == keys.heads &&
                        queries.size == keys.size && queries.projection.x == keys.projection.x;
  if (!is_sound) call.fail("expected queries by keys of the same input and heads");
  Attention out{.projections = {queries.projection, keys.projection, {}, {}},
                .heads = queries.heads,
                .size = queries.size};
  call.set(out);
}

void mix_values(Call& call, const Attention& shares, const Heads& values) {
  const bool is_sound = shares.stage == Attention::Stage::kShares &&
                        values.stage == Heads::Stage::kByHead && shares.heads == values.heads &&
                        shares.size == values.size &&
                        shares.projections[0].x == values.projection.x;
  if (!is_sound) call.fail("expected shares by values of the same input and heads");
  Attention next = shares;
  next.projections[2] = values.projection;
  next.stage = Attention::Stage::kMixed;
  call.set(next);
}

}  // namespace

void read_Gemm(Call& call) {
  call.expect("transA", 0);
  for (const char* factor : {"alpha", "beta"}) {
    const double value = call.real(factor, 1.0);
    if (value != 1.0) call.fail("attribute ", factor, ": expected 1, got ", value);
  }
  const Output x = call.plain(0, 1);
  ConstantPtr weight = matrix_of(call, 1);
  if (call.integer("transB", 0) == 0) weight = transposed(call, *weight);
  check_features(call, x.view, *weight);
  std::vector<ConstantPtr> parameters{weight};
  if (const ConstantPtr bias = call.constant_or_null(2)) parameters.push_back(bias);
  call.set(call.add(OpKind::linear, {x}, {.out = weight->dims[0], .bias = parameters.size() > 1},
                    parameters));
}

void read_MatMul(Call& call) {
  if (call.is_constant(1)) return multiply_weight(call);
  const auto* left = call.get<Heads>(0);
  const auto* right = call.get<Heads>(1);
  const auto* shares = call.get<Attention>(0);
  if (left != nullptr && right != nullptr) return multiply_heads(call, *left, *right);
  if (shares != nullptr && right != nullptr) return mix_values(call, *shares, *right);
  call.fail("expected a layer's output by a constant matrix, or attention's heads");
}

void read_Softmax(Call& call) {
  const std::int64_t axis = call.integer("axis", call.opset() < 13 ? 1 : -1);
  const auto* scores = call.get<Attention>(0);
  if (scores == nullptr || scores->stage != Attention::Stage::kScaled) {
    call.fail(
        "expected attention's scores; a network ends in logits, so leave out a Softmax at "
        "its end");
  }
  if (axis != -1 && axis != 3) call.fail("attribute axis: expected -1 or 3, got ", axis);
  Attention next = *scores;
  next.stage = Attention::Stage::kShares;
  call.set(next);
}

}  // namespace coppice::onnx_import
