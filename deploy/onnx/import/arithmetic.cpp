// Add, Sub, Mul, Div, Pow, Sqrt and Erf: layers of their own between two layers' outputs, steps of
// normalize, gelu, norms and attention with constants.

#include <algorithm>  // for all_of
#include <array>      // for array
#include <cmath>      // for abs, sqrt
#include <numbers>    // for sqrt2

#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

constexpr double kTolerance = 1e-5;  // relative; constants are fp32
constexpr float kHidden = -1e4F;     // exp() of it is zero

bool is_near(double value, double wanted) {
  return std::abs(value - wanted) <= kTolerance * std::abs(wanted);
}

// The position of the constant among two inputs, and of the other one.
struct Operands {
  std::size_t constant = 1;
  std::size_t other = 0;
};

std::optional<Operands> with_constant(const Call& call) {
  if (call.is_constant(1)) return Operands{1, 0};
  if (call.is_constant(0)) return Operands{0, 1};
  return std::nullopt;
}

// Whether a constant multiplies or shifts the last of the axes alone.
bool is_per_feature(const Constant& constant, std::int64_t features) {
  return static_cast<std::int64_t>(constant.values.size()) == features && !constant.dims.empty() &&
         constant.dims.back() == features;
}

// The same of an image's channels: [C, 1, 1] or [1, C, 1, 1].
bool is_per_channel(const Constant& constant, std::int64_t channels) {
  const Shape& dims = constant.dims;
  return static_cast<std::int64_t>(constant.values.size()) == channels && dims.size() >= 3 &&
         dims.size() <= 4 && dims[dims.size() - 3] == channels;
}

// Zeros up to the diagonal and what hides the future behind it.
bool is_causal_mask(const Constant& mask, std::int64_t steps) {
  if (static_cast<std::int64_t>(mask.values.size()) != steps * steps) return false;
  for (std::int64_t i = 0; i < steps; ++i) {
    for (std::int64_t j = 0; j < steps; ++j) {
      const float value = mask.values[static_cast<std::size_t>(i * steps + j)];
      if (j <= i ? value != 0.0F : !(value <= kHidden)) return false;
    }
  }
  return true;
}

// x - mean over deviation; a step that does not follow the one before starts anew.
Affine affine_of(Call& call, std::size_t input) {
  const auto* affine = call.get<Affine>(input);
  if (affine != nullptr && affine->deviation == 1.0) return *affine;
  return {.x = call.output(input)};
}

bool add_norm_bias(Call& call, const Operands& at, const ConstantPtr& constant) {
  if (const auto* norm = call.get<GroupNorm>(at.other)) {
    if (norm->stage < GroupNorm::Stage::kImage || norm->bias != nullptr ||
        !is_per_channel(*constant, norm->x.view[0]))
      return false;
    GroupNorm whole = *norm;
    whole.bias = constant;
    call.set(call.complete(whole));
    return true;
  }
  const auto* norm = call.get<LayerNorm>(at.other);
  if (norm == nullptr) return false;
  const std::int64_t features = norm->x.view.back();
  if (norm->stage == LayerNorm::Stage::kVariance && constant->is_scalar()) {
    LayerNorm next = *norm;
    next.stage = LayerNorm::Stage::kShifted;
    next.epsilon = call.scalar(at.constant);
    call.set(next);
    return true;
  }
  if (norm->stage < LayerNorm::Stage::kNormalized || !is_per_feature(*constant, features))
    return false;
  const ConstantPtr weight = norm->weight != nullptr ? norm->weight : call.filled(features, 1.0F);
  call.set(call.add(OpKind::layer_norm, {norm->x}, {.epsilon = norm->epsilon}, {weight, constant}));
  return true;
}

bool add_product_bias(Call& call, const Operands& at, const ConstantPtr& constant) {
  if (const auto* product = call.get<Projection>(at.other)) {
    if (product->bias != nullptr || !is_per_feature(*constant, product->weight->dims[0]))
      return false;
    Projection next = *product;
    next.bias = constant;
    call.set(next);
    return true;
  }
  const auto* attention = call.get<Attention>(at.other);
  if (attention == nullptr) return false;
  Attention next = *attention;
  Projection& output = next.projections[3];
  if (next.stage == Attention::Stage::kProjected) {
    if (output.bias != nullptr || !is_per_feature(*constant, output.weight->dims[0])) return false;
    output.bias = constant;
    call.set(call.complete(next));
    return true;
  }
  if (next.stage == Attention::Stage::kScaled && !next.is_causal &&
      is_causal_mask(*constant, next.projections[0].x.view[0])) {
    next.is_causal = true;
    call.set(next);
    return true;
  }
  return false;
}

void add_constant(Call& call, const Operands& at) {
  const ConstantPtr constant = call.constant(at.constant);
  if (const auto* gelu = call.get<Gelu>(at.other);
      gelu != nullptr && gelu->stage == Gelu::Stage::kErf && constant->is_scalar() &&
      constant->values[0] == 1.0F) {
    return call.set(Gelu{gelu->x, Gelu::Stage::kPlusOne});
  }
  if (add_norm_bias(call, at, constant) || add_product_bias(call, at, constant)) return;
  if (constant->is_scalar()) {
    Affine next = affine_of(call, at.other);
    next.mean -= call.scalar(at.constant);
    return call.set(next);
  }
  const Output x = call.plain(at.other);
  Shape dims = constant->dims;
  if (dims.size() == x.view.size() + 1 && dims.front() == 1) dims.erase(dims.begin());
  if (dims != x.view || dims.size() != 2) {
    call.fail("adds constants of shape ", shape_text(constant->dims), " to ", shape_text(x.view),
              "; expected one number, a bias behind a product or norm, or a value for every step "
              "and feature");
  }
  call.set(call.add(OpKind::positions, {x}, {}, {constant}));
}

// One input was multiplied by what erf made of the other.
bool finish_gelu(Call& call, std::size_t erf, std::size_t other) {
  const auto* gelu = call.get<Gelu>(erf);
  if (gelu == nullptr || call.is_constant(other)) return false;
  const bool erf_is_half = gelu->stage == Gelu::Stage::kHalf;
  if (gelu->stage != Gelu::Stage::kPlusOne && !erf_is_half) return false;
  const auto* half = call.get<Affine>(other);
  const bool is_half =
      !erf_is_half && half != nullptr && half->mean == 0.0 && half->deviation == 2.0;
  const Output x = gelu->x;
  if ((is_half ? half->x : call.output(other)) != x) return false;
  if (is_half || erf_is_half) {
    call.set(call.add(OpKind::gelu, {x}));
  } else {
    call.set(Gelu{x, Gelu::Stage::kProduct});
  }
  return true;
}

bool scale_norm(Call& call, const Operands& at, const ConstantPtr& constant) {
  if (const auto* norm = call.get<GroupNorm>(at.other)) {
    if (norm->stage != GroupNorm::Stage::kImage || norm->weight != nullptr ||
        norm->bias != nullptr || !is_per_channel(*constant, norm->x.view[0]))
      return false;
    GroupNorm next = *norm;
    next.weight = constant;
    next.stage = GroupNorm::Stage::kScaled;
    call.set(next);
    return true;
  }
  const auto* norm = call.get<LayerNorm>(at.other);
  if (norm == nullptr || norm->stage != LayerNorm::Stage::kNormalized ||
      !is_per_feature(*constant, norm->x.view.back()))
    return false;
  LayerNorm next = *norm;
  next.weight = constant;
  next.stage = LayerNorm::Stage::kScaled;
  call.set(next);
  return true;
}

// Attention's scores by 1 / sqrt(size).
bool scale_scores(Call& call, std::size_t input, double factor) {
  const auto* scores = call.get<Attention>(input);
  if (scores == nullptr || scores->stage != Attention::Stage::kProducts) return false;
  const double wanted = 1.0 / std::sqrt(static_cast<double>(scores->size));
  if (!is_near(factor, wanted))
    call.fail("expected the scores by 1 / sqrt(", scores->size, "), got by ", factor);
  Attention next = *scores;
  next.stage = Attention::Stage::kScaled;
  call.set(next);
  return true;
}

void scale(Call& call, std::size_t input, double factor) {
  const auto* gelu = call.get<Gelu>(input);
  if (gelu != nullptr && gelu->stage == Gelu::Stage::kProduct && factor == 0.5)
    return call.set(call.add(OpKind::gelu, {gelu->x}));
  if (gelu != nullptr && gelu->stage == Gelu::Stage::kPlusOne && factor == 0.5)
    return call.set(Gelu{gelu->x, Gelu::Stage::kHalf});
  if (scale_scores(call, input, factor)) return;
  Affine next = affine_of(call, input);
  next.deviation = 1.0 / factor;
  call.set(next);
}

void multiply_constant(Call& call, const Operands& at) {
  const ConstantPtr constant = call.constant(at.constant);
  if (scale_norm(call, at, constant)) return;
  if (!constant->is_scalar()) {
    call.fail("multiplies by constants of shape ", shape_text(constant->dims),
              "; expected one number, or factors behind a norm");
  }
  scale(call, at.other, call.scalar(at.constant));
}

// An image by a factor for each of its channels.
void multiply_channels(Call& call) {
  const std::array<Output, 2> x{call.output(0), call.output(1)};
  for (const std::size_t image : {0, 1}) {
    const Output& factors = x[1 - image];
    const Shape& shape = call.network().layer(factors.layer).shape;
    if (x[image].view.size() == 3 && shape.size() == 1 && factors.view == Shape{shape[0], 1, 1})
      return call.set(call.add(OpKind::channel_scale, {call.plain(image, 3), factors}));
  }
  call.fail("expected an image by a factor for each channel, got ", shape_text(x[0].view), " by ",
            shape_text(x[1].view));
}

}  // namespace

void read_Add(Call& call) {
  if (const auto at = with_constant(call)) return add_constant(call, *at);
  const Output a = call.output(0);
  const Output b = call.output(1);
  if (a.view != b.view)
    call.fail("expected inputs of one shape, got ", shape_text(a.view), " and ",
              shape_text(b.view));
  Output out = call.add(OpKind::add, {a, b});
  out.view = a.view;
  call.set(out);
}

void read_Sub(Call& call) {
  if (const auto* mean = call.get<LayerNorm>(1);
      mean != nullptr && mean->stage == LayerNorm::Stage::kMean && call.output(0) == mean->x) {
    LayerNorm next = *mean;
    next.stage = LayerNorm::Stage::kCentred;
    return call.set(next);
  }
  Affine next = affine_of(call, 0);
  next.mean += call.scalar(1);
  call.set(next);
}

void read_Mul(Call& call) {
  if (finish_gelu(call, 0, 1) || finish_gelu(call, 1, 0)) return;
  if (const auto at = with_constant(call)) return multiply_constant(call, *at);
  multiply_channels(call);
}

void read_Div(Call& call) {
  const auto* centred = call.get<LayerNorm>(0);
  const auto* deviation = call.get<LayerNorm>(1);
  if (centred != nullptr && deviation != nullptr && centred->x == deviation->x &&
      centred->stage == LayerNorm::Stage::kCentred &&
      deviation->stage == LayerNorm::Stage::kDeviation) {
    LayerNorm next = *deviation;
    next.stage = LayerNorm::Stage::kNormalized;
    return call.set(next);
  }
  const double divisor = call.scalar(1);
  if (scale_scores(call, 0, 1.0 / divisor)) return;
  Affine next = affine_of(call, 0);
  next.deviation = divisor;
  call.set(next);
}

void read_Pow(Call& call) {
  const auto* centred = call.get<LayerNorm>(0);
  if (centred == nullptr || centred->stage != LayerNorm::Stage::kCentred || call.scalar(1) != 2.0)
    call.fail("expected the square of features less their mean");
  LayerNorm next = *centred;
  next.stage = LayerNorm::Stage::kSquared;
  call.set(next);
}

void read_Sqrt(Call& call) {
  const auto* shifted = call.get<LayerNorm>(0);
  if (shifted == nullptr || shifted->stage != LayerNorm::Stage::kShifted)
    call.fail("expected the variance of features and an epsilon");
  LayerNorm next = *shifted;
  next.stage = LayerNorm::Stage::kDeviation;
  call.set(next);
}

void read_Erf(Call& call) {
  const auto* scaled = call.get<Affine>(0);
  if (scaled == nullptr || scaled->mean != 0.0 ||
      !is_near(scaled->deviation, std::numbers::sqrt2)) {
    call.fail("expected what gelu wants, erf(x / sqrt(2))");
  }
  call.set(Gelu{scaled->x, Gelu::Stage::kErf});
}

}  // namespace coppice::onnx_import
