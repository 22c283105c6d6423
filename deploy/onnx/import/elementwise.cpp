// Operators that keep their input's shape: activations, Dropout, Identity, Cast.

#include <onnx/onnx_pb.h>

#include <algorithm>  // for all_of
#include <limits>     // for numeric_limits

#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

void add_elementwise(Call& call, OpKind op, const Attributes& attributes = {}) {
  const Output x = call.output(0);
  Output out = call.add(op, {x}, attributes);
  out.view = x.view;
  call.set(out);
}

// A bound of Clip: an attribute before opset 11, an input since.
double bound(Call& call, std::string_view name, std::size_t input, double otherwise) {
  if (call.opset() < 11) return call.real(name, otherwise);
  return call.has(input) ? call.scalar(input) : otherwise;
}

}  // namespace

void read_Relu(Call& call) { add_elementwise(call, OpKind::relu); }
void read_Sigmoid(Call& call) { add_elementwise(call, OpKind::sigmoid); }
void read_Tanh(Call& call) { add_elementwise(call, OpKind::tanh); }

void read_LeakyRelu(Call& call) {
  add_elementwise(call, OpKind::leaky_relu, {.slope = call.real("alpha", 0.01)});
}

void read_Gelu(Call& call) {
  const std::string_view form = call.word("approximate", "none");
  if (form != "none") call.fail("attribute approximate: expected none, got ", form.substr(0, 32));
  add_elementwise(call, OpKind::gelu);
}

void read_Clip(Call& call) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  const double low = bound(call, "min", 1, -kLargest);
  const double high = bound(call, "max", 2, kLargest);
  if (low != 0.0 || (high != 6.0 && high < 0.999 * kLargest)) {
    call.fail("expected bounds 0 and 6, or 0 and none, got ", low, " and ", high);
  }
  add_elementwise(call, high == 6.0 ? OpKind::relu6 : OpKind::relu);
}

void read_Dropout(Call& call) {
  call.ignore("seed");
  const double ratio = call.opset() < 12 ? call.real("ratio", 0.5)
                       : call.has(1)     ? call.scalar(1)
                                         : 0.5;
  if (const FileTensor* training = call.stored(2)) {
    const bool is_on = !std::ranges::all_of(training->raw, [](auto byte) { return byte == 0; }) ||
                       !std::ranges::all_of(training->integers, [](auto one) { return one == 0; });
    if (is_on) call.fail("training_mode: expected false, got true");
  } else if (call.has(2)) {
    call.fail("training_mode: expected false, got a computed value");
  }
  if (ratio == 0.0) {
    call.set(call.output(0));
  } else {
    add_elementwise(call, OpKind::dropout, {.rate = ratio});
  }
}

void read_Identity(Call& call) { call.set(call.value(0)); }

// Of ids and of shapes, between integer types; of values only to what they are.
void read_Cast(Call& call) {
  const std::int64_t to = call.integer("to", 0);
  const bool is_integer = to == onnx::TensorProto::INT32 || to == onnx::TensorProto::INT64;
  call.ignore("saturate");
  if (call.integers_if(0)) {
    if (!is_integer) call.fail("attribute to: expected INT32 or INT64 for integers, got ", to);
    call.set(call.integers(0));
    return;
  }
  const Output x = call.output(0);
  const bool are_ids = x.layer == 0 && call.network().input().type == ElementType::kInt32;
  if (are_ids ? !is_integer : to != onnx::TensorProto::FLOAT) {
    call.fail("attribute to: expected ", are_ids ? "INT32 or INT64 for ids" : "FLOAT",
              ", got type ", to);
  }
  call.set(x);
}

}  // namespace coppice::onnx_import
