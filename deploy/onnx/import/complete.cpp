// Layers that several nodes of the file say together, once it is clear that they are whole.

#include <algorithm>  // for all_of

#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

struct Completion {
  Network& network;
  std::string_view name;
  using Result = std::optional<Output>;

  std::int64_t channels(const Output& x) const {
    const Shape& shape = network.layer(x.layer).shape;
    return shape.size() == 3 ? shape.front() : shape.back();
  }

  ConstantPtr or_filled(const ConstantPtr& constant, std::int64_t size, float value) const {
    return constant != nullptr ? constant : filled(network, size, value);
  }

  Result operator()(const Output& output) const { return output; }

  Result operator()(const Affine& affine) const {
    Output out = network.add(OpKind::normalize, name, {affine.x},
                             {.mean = affine.mean, .deviation = affine.deviation}, {});
    out.view = affine.x.view;
    return out;
  }

  Result operator()(const GroupNorm& norm) const {
    if (norm.stage < GroupNorm::Stage::kImage) return std::nullopt;
    const std::int64_t size = channels(norm.x);
    return network.add(OpKind::group_norm, name, {norm.x},
                       {.group_size = size / norm.groups, .epsilon = norm.epsilon},
                       {or_filled(norm.weight, size, 1.0F), or_filled(norm.bias, size, 0.0F)});
  }

  Result operator()(const LayerNorm& norm) const {
    if (norm.stage < LayerNorm::Stage::kNormalized) return std::nullopt;
    const std::int64_t size = channels(norm.x);
    return network.add(OpKind::layer_norm, name, {norm.x}, {.epsilon = norm.epsilon},
                       {or_filled(norm.weight, size, 1.0F), filled(network, size, 0.0F)});
  }

  Result operator()(const Projection& projection) const {
    std::vector<ConstantPtr> parameters{projection.weight};
    const bool has_bias = projection.bias != nullptr;
    if (has_bias) parameters.push_back(projection.bias);
    return network.add(OpKind::linear, name, {projection.x},
                       {.out = projection.weight->dims.front(), .bias = has_bias},
                       std::move(parameters));
  }

  // Biases are there for all four projections or for none.
  Result operator()(const Attention& attention) const {
    if (attention.stage != Attention::Stage::kProjected) return std::nullopt;
    const bool has_bias = !std::ranges::all_of(
        attention.projections, [](const Projection& one) { return one.bias == nullptr; });
    std::vector<ConstantPtr> parameters;
    for (const Projection& one : attention.projections) {
      parameters.push_back(one.weight);
      if (has_bias) parameters.push_back(or_filled(one.bias, one.weight->dims.front(), 0.0F));
    }
    const Output& x = attention.projections.front().x;
    const bool is_usual = attention.heads * attention.size == x.view.back();
    return network.add(OpKind::attention, name, {x},
                       {.bias = has_bias,
                        .heads = attention.heads,
                        .head_size = is_usual ? 0 : attention.size,
                        .causal = attention.is_causal},
                       std::move(parameters));
  }

  template <typename Part>
  Result operator()(const Part&) const {
    return std::nullopt;
  }
};

}  // namespace

std::optional<Output> complete(Network& network, const Value& value, std::string_view name) {
  return std::visit(Completion{network, name}, value);
}

Output viewed(Call& call, const Output& output, const Shape& view) {
  const Shape& shape = call.network().layer(output.layer).shape;
  Output out = output;
  out.view = view;
  if (view == output.view || shape.size() == 1) return out;
  if (output.view == shape && view.size() == 1) return call.add(OpKind::flatten, {output});
  call.fail("expected ", shape_text(output.view), " as it is or flat, got ", shape_text(view));
}

}  // namespace coppice::onnx_import
