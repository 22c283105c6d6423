// QuantizeLinear and DequantizeLinear: onto core/quant_plan.h's integers.

#include <onnx/onnx_pb.h>

#include <algorithm>  // for clamp
#include <cmath>      // for isfinite, nearbyint

#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

using onnx::TensorProto;

constexpr std::int64_t kFirstSigned = -128;

// Scales are positive and finite, one or one an index of an axis.
std::vector<float> scales_of(Call& call) {
  std::vector<float> scales = call.constant(1)->values;
  if (scales.empty()) call.fail("expected a scale, got none");
  for (const float scale : scales) {
    if (!std::isfinite(scale) || scale <= 0.0F) call.fail("expected positive scales, got ", scale);
  }
  return scales;
}

// Zero points and their type, which is that of the codes; UINT8 and 0 if none is given.
struct ZeroPoints {
  std::int64_t type = TensorProto::UINT8;
  std::vector<std::int64_t> values{0};

  std::int64_t at(std::size_t i) const { return values[values.size() == 1 ? 0 : i]; }
};

ZeroPoints zero_points_of(Call& call, std::size_t scales, std::int64_t type_without) {
  ZeroPoints out{.type = type_without};
  if (!call.has(2)) return out;
  const FileTensor* stored = call.stored(2);
  if (stored == nullptr) call.fail("the zero point is computed; expected a constant");
  out.type = stored->type;
  out.values = integer_values(*stored);
  if (out.values.size() != 1 && out.values.size() != scales)
    call.fail("expected as many zero points as scales, ", scales, ", got ", out.values.size());
  return out;
}

// The grid of an activation, shifted to unsigned codes.
Grid grid_of(Call& call) {
  const std::vector<float> scales = scales_of(call);
  const ZeroPoints zero = zero_points_of(call, scales.size(), TensorProto::UINT8);
  if (scales.size() != 1) call.fail("expected one scale for an activation, got ", scales.size());
  const std::int64_t first = zero.type == TensorProto::INT8 ? kFirstSigned : 0;
  if (zero.type != TensorProto::INT8 && zero.type != TensorProto::UINT8)
    call.fail("expected codes of type UINT8 or INT8, got type ", zero.type);
  if (zero.at(0) < first || zero.at(0) > first + 255)
    call.fail("zero point ", zero.at(0), " is out of range");
  return {scales.front(), static_cast<int>(zero.at(0) - first)};
}

void check_defaults(Call& call) {
  call.expect("block_size", 0);
  call.ignore("saturate");   // of 8-bit floats
  call.ignore("precision");  // of the division
  const std::int64_t type = call.integer("output_dtype", 0);
  if (type != 0 && type != TensorProto::UINT8 && type != TensorProto::INT8 &&
      type != TensorProto::FLOAT) {
    call.fail("attribute output_dtype: expected UINT8, INT8 or FLOAT, got type ", type);
  }
}

// The index of an axis that element i of `dims` has.
struct AlongAxis {
  std::size_t axis = 0;
  std::size_t size = 1;   // of the axis
  std::size_t inner = 1;  // elements behind it

  std::size_t index(std::size_t i) const { return i / inner % size; }
};

AlongAxis along(Call& call, const Shape& dims, std::size_t scales) {
  AlongAxis out;
  std::int64_t axis = call.integer("axis", 1);
  if (scales == 1) return out;
  const auto rank = static_cast<std::int64_t>(dims.size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank ||
      dims[static_cast<std::size_t>(axis)] != static_cast<std::int64_t>(scales)) {
    call.fail("expected a scale an index of axis ", axis, " of ", shape_text(dims), ", got ",
              scales);
  }
  out.axis = static_cast<std::size_t>(axis);
  out.size = scales;
  for (std::size_t i = out.axis + 1; i < dims.size(); ++i)
    out.inner *= static_cast<std::size_t>(dims[i]);
  return out;
}

// Fills in codes, which are less their zero point already, and values.
void set_codes(Call& call, Constant& out, std::vector<std::int32_t> codes,
               std::vector<float> scales) {
  const AlongAxis axis = along(call, out.dims, scales.size());
  out.axis = axis.axis;
  out.values.clear();
  out.values.reserve(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i)
    out.values.push_back(static_cast<float>(codes[i]) * scales[axis.index(i)]);
  out.codes = std::move(codes);
  out.scales = std::move(scales);
}

// Weights that are stored as fp32 and rounded on the way.
void quantize_constant(Call& call) {
  auto out = std::make_shared<Constant>(*call.constant(0));
  call.charge(static_cast<std::int64_t>(out->values.size()));
  std::vector<float> scales = scales_of(call);
  const ZeroPoints zero = zero_points_of(call, scales.size(), TensorProto::UINT8);
  const bool is_signed = zero.type == TensorProto::INT8;
  if (!is_signed && zero.type != TensorProto::UINT8)
    call.fail("expected codes of type UINT8 or INT8, got type ", zero.type);
  const double low = is_signed ? -128.0 : 0.0;
  const AlongAxis axis = along(call, out->dims, scales.size());
  std::vector<std::int32_t> codes;
  codes.reserve(out->values.size());
  for (std::size_t i = 0; i < out->values.size(); ++i) {
    const std::size_t index = axis.index(i);
    const auto point = static_cast<double>(zero.at(index));
    const double code = std::nearbyint(out->values[i] / scales[index]) + point;
    if (!std::isfinite(code) || point < low || point > low + 255.0)
      call.fail("a value or zero point has no code");
    codes.push_back(static_cast<std::int32_t>(std::clamp(code, low, low + 255.0) - point));
  }
  set_codes(call, *out, std::move(codes), std::move(scales));
  call.set(ConstantPtr(std::move(out)));
}

void dequantize_constant(Call& call, const FileTensor& stored) {
  call.charge(tensor_size(stored));
  auto out = std::make_shared<Constant>();
  out->name = stored.name;
  out->dims = stored.dims;
  out->remark = stored.remark;
  std::vector<float> scales = scales_of(call);
  const ZeroPoints zero = zero_points_of(call, scales.size(), stored.type);
  if (zero.type != stored.type) call.fail("codes and zero point are of different types");
  if (stored.type != TensorProto::INT8 && stored.type != TensorProto::UINT8 &&
      stored.type != TensorProto::INT32) {
    call.fail("expected codes of type UINT8, INT8 or INT32, got type ", stored.type);
  }
  const AlongAxis axis = along(call, stored.dims, scales.size());
  const std::int64_t limit = stored.type == TensorProto::INT32 ? std::int64_t{1} << 31 : 256;
  std::vector<std::int32_t> codes;
  const std::vector<std::int64_t> values = integer_values(stored);
  codes.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t point = zero.at(axis.index(i));
    const bool is_sound =
        values[i] >= -limit && values[i] < limit && point > -limit && point < limit;
    const std::int64_t code = is_sound ? values[i] - point : limit;
    if (!is_sound || code < -limit || code >= limit)
      call.fail("a code or zero point is out of its type's range");
    codes.push_back(static_cast<std::int32_t>(code));
  }
  set_codes(call, *out, std::move(codes), std::move(scales));
  call.set(ConstantPtr(std::move(out)));
}

}  // namespace

void read_QuantizeLinear(Call& call) {
  check_defaults(call);
  if (call.is_constant(0)) return quantize_constant(call);
  call.ignore("axis");
  const Output x = call.output(0);
  call.set(Codes{x, grid_of(call)});
}

void read_DequantizeLinear(Call& call) {
  check_defaults(call);
  if (const auto* codes = call.get<Codes>(0)) {
    call.ignore("axis");
    if (grid_of(call) != codes->grid)
      call.fail("expected the scale and zero point of the QuantizeLinear before it");
    return call.set(call.quantize(codes->of, codes->grid));
  }
  if (const auto* ready = call.get<ConstantPtr>(0); ready != nullptr && !(*ready)->codes.empty()) {
    call.ignore("axis");
    if (scales_of(call) != (*ready)->scales)
      call.fail("expected the scales of the QuantizeLinear before it");
    return call.set(*ready);
  }
  const FileTensor* stored = call.stored(0);
  if (stored == nullptr) call.fail("expected codes: constants, or what QuantizeLinear gives");
  dequantize_constant(call, *stored);
}

}  // namespace coppice::onnx_import
