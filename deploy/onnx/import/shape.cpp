// Operators that rearrange: of layers' outputs, of constants, and of the shapes that say how.

#include <algorithm>  // for clamp, count
#include <cmath>      // for isnan
#include <limits>     // for numeric_limits
#include <numeric>    // for iota

#include "core/op_rules.h"
#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

using Numbers = std::vector<std::int64_t>;

// Replaces 0 (as it was) and -1 (what is left over) in a shape that Reshape is given.
Shape resolved(Call& call, const Numbers& target, const Shape& from) {
  Shape out = target;
  std::int64_t known = 1;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] == 0 && i < from.size()) out[i] = from[i];
    if (out[i] == -1) continue;
    if (out[i] < 1 || out[i] > kMaxAxis || known > kMaxElements)
      call.fail("expected axes of 1 to ", kMaxAxis, ", 0 or -1, got ", join(target, " "));
    known *= out[i];
  }
  const std::int64_t size = element_count(from);
  const auto open = std::ranges::count(out, -1);
  for (std::int64_t& axis : out) {
    if (axis == -1) axis = size / known;
  }
  if (open > 1 || element_count(out) != size || known > kMaxElements) {
    call.fail("expected a shape for ", shape_text(from), ", got ",
              target.empty() ? "none" : join(target, " "));
  }
  return out;
}

// A shape with the batch in front, for one sample.
Shape resolved_sample(Call& call, Numbers target, const Shape& view) {
  const bool is_batch = !target.empty() && (target[0] == kBatch || target[0] == 0 ||
                                            target[0] == -1 || target[0] == call.batch());
  if (!is_batch) {
    for (std::int64_t& axis : target) {
      if (axis == kBatch) axis = -1;
    }
    call.fail("expected the batch as first axis, got ",
              target.empty() ? "none" : join(target, " "));
  }
  target.erase(target.begin());
  if (!target.empty() && std::ranges::count(target, kBatch) != 0)
    call.fail("expected the batch as first axis only");
  // 0 stands for the axis at the same place, and so does it without the batch.
  return resolved(call, target, view);
}

void reshape_output(Call& call, const Numbers& target) {
  const Output x = call.output(0);
  const Shape view = resolved_sample(call, target, x.view);
  const bool is_image = x.view.size() == 3 && x.view == call.network().layer(x.layer).shape;
  if (is_image && view.size() == 2 && view != x.view && x.view[0] % view[0] == 0)
    return call.set(GroupNorm{.x = x, .groups = view[0], .weight = nullptr, .bias = nullptr});
  call.set(viewed(call, x, view));
}

// A projection's features as heads x size.
void split_heads(Call& call, const Projection& projection, const Numbers& target) {
  const Shape view{projection.x.view.front(), projection.weight->dims.front()};
  const Shape split = resolved_sample(call, target, view);
  if (projection.x.view.size() != 2 || split.size() != 3 || split[0] != view[0])
    call.fail("expected steps x heads x size, got ", shape_text(split));
  call.set(Heads{.projection = projection, .heads = split[1], .size = split[2]});
}

void reshape_constant(Call& call, const Numbers& target) {
  auto out = std::make_shared<Constant>(*call.constant(0));
  call.charge(static_cast<std::int64_t>(out->values.size()));
  if (out->scales.size() > 1) call.fail("expected fp32 constants or one scale");
  out->dims = resolved(call, target, out->dims);
  call.set(ConstantPtr(std::move(out)));
}

std::int64_t axis_behind_batch(Call& call, std::int64_t axis, std::size_t rank) {
  if (axis < 0) axis += static_cast<std::int64_t>(rank) + 1;
  if (axis < 1 || axis > static_cast<std::int64_t>(rank))
    call.fail("expected an axis behind the batch, got ", axis);
  return axis - 1;
}

// Of Squeeze and Unsqueeze: an attribute before opset 13, an input since.
Numbers axes_of(Call& call) {
  if (call.opset() < 13) return call.list("axes").value_or(Numbers{});
  return call.has(1) ? call.integers(1).values : Numbers{};
}

// Constants along the axes that are wanted, from opset 10 on as inputs.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

Range range_of(Call& call, std::int64_t size) {
  if (call.opset() < 10) call.fail("expected opset 10 or later for a slice, got ", call.opset());
  const Numbers begin = call.integers(1).values;
  const Numbers end = call.integers(2).values;
  const Numbers steps = call.has(4) ? call.integers(4).values : Numbers{1};
  if (begin.size() != 1 || end.size() != 1 || steps != Numbers{1})
    call.fail("expected one axis and a step of 1");
  const auto from_end = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? std::max(at, -size) + size : at, 0, size);
  };
  return {from_end(begin[0]), from_end(end[0])};
}

bool is_identity(const Numbers& order) {
  Numbers plain(order.size());
  std::iota(plain.begin(), plain.end(), 0);
  return order == plain;
}

}  // namespace

void read_Constant(Call& call) {
  if (const FileTensor* tensor = call.tensor("value")) return call.set(tensor);
  if (const auto values = call.list("value_ints")) return call.set(Integers{*values, false});
  constexpr std::int64_t kNone = kBatch;
  if (const std::int64_t value = call.integer("value_int", kNone); value != kNone)
    return call.set(Integers{{value}, true});
  const double value = call.real("value_float", std::numeric_limits<double>::quiet_NaN());
  if (std::isnan(value)) call.fail("expected a value that is a tensor, an integer or a number");
  auto out = std::make_shared<Constant>();
  out->values = {static_cast<float>(value)};
  call.set(ConstantPtr(std::move(out)));
}

void read_Shape(Call& call) {
  const Output x = call.output(0);
  Numbers shape{kBatch};
  shape.insert(shape.end(), x.view.begin(), x.view.end());
  const auto size = static_cast<std::int64_t>(shape.size());
  const auto bound = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? std::max(at, -size) + size : at, 0, size);
  };
  const std::int64_t begin = bound(call.integer("start", 0));
  const std::int64_t end = std::max(begin, bound(call.integer("end", size)));
  call.set(Integers{{shape.begin() + begin, shape.begin() + end}, false});
}

void read_Reshape(Call& call) {
  const Numbers target = call.integers(1).values;
  if (call.integer("allowzero", 0) != 0 && std::ranges::count(target, 0) != 0)
    call.fail("attribute allowzero: expected 0 where the shape has zeros, got 1");
  if (call.integers_if(0)) {
    const Numbers values = call.integers(0).values;
    return call.set(Integers{values, target.empty() && values.size() == 1});
  }
  if (call.is_constant(0)) return reshape_constant(call, target);
  if (const auto* projection = call.get<Projection>(0); projection != nullptr && target.size() == 4)
    return split_heads(call, *projection, target);
  if (const auto* norm = call.get<GroupNorm>(0);
      norm != nullptr && norm->stage == GroupNorm::Stage::kNormalized) {
    GroupNorm next = *norm;
    next.stage = GroupNorm::Stage::kImage;
    const std::size_t as_was = static_cast<std::size_t>(std::ranges::count(target, 0));
    if (as_was > 1 || resolved_sample(call, target, norm->x.view) != norm->x.view)
      call.fail("expected the image that the groups were made of");
    return call.set(next);
  }
  if (const auto* attention = call.get<Attention>(0);
      attention != nullptr && attention->stage == Attention::Stage::kSteps) {
    const std::int64_t steps = attention->projections[0].x.view[0];
    const Shape joined = resolved_sample(call, target, {steps, attention->heads, attention->size});
    if (joined != Shape{steps, attention->heads * attention->size})
      call.fail("expected steps x features, got ", shape_text(joined));
    Attention next = *attention;
    next.stage = Attention::Stage::kFeatures;
    return call.set(next);
  }
  reshape_output(call, target);
}

void read_Flatten(Call& call) {
  call.expect("axis", 1);
  const Output x = call.output(0);
  call.set(viewed(call, x, {element_count(x.view)}));
}

void read_Squeeze(Call& call) {
  if (const auto integers = call.integers_if(0))
    return call.set(Integers{integers->values, integers->values.size() == 1});
  const Output x = call.output(0);
  Shape view = x.view;
  for (const std::int64_t axis : axes_of(call)) {
    std::int64_t& size =
        view[static_cast<std::size_t>(axis_behind_batch(call, axis, x.view.size()))];
    if (size != 1) call.fail("expected axis ", axis, " of size 1, got ", size);
    size = 0;
  }
  if (std::erase(view, 0) == 0) call.fail("expected axes to squeeze");
  call.set(viewed(call, x, view));
}

void read_Unsqueeze(Call& call) {
  if (const auto integers = call.integers_if(0)) return call.set(Integers{integers->values, false});
  const Numbers axes = axes_of(call);
  if (call.is_constant(0)) {
    auto out = std::make_shared<Constant>(*call.constant(0));
    call.charge(static_cast<std::int64_t>(out->values.size()));
    for (const std::int64_t axis : axes) {
      const auto rank = static_cast<std::int64_t>(out->dims.size());
      if (axis < 0 || axis > rank || rank > 4 || out->scales.size() > 1)
        call.fail("expected fp32 constants of at most 5 axes, got axis ", axis, " of ", rank);
      out->dims.insert(out->dims.begin() + axis, 1);
    }
    return call.set(ConstantPtr(std::move(out)));
  }
  const Output x = call.output(0);
  Shape view = x.view;
  for (const std::int64_t axis : axes)
    view.insert(view.begin() + axis_behind_batch(call, axis, view.size() + 1), 1);
  if (view.size() > 4) call.fail("expected at most 4 axes behind the batch, got ", view.size());
  call.set(viewed(call, x, view));
}

// Images join their channels, sequences and vectors their features; shapes their axes.
void read_Concat(Call& call) {
  const std::int64_t axis = call.integer("axis", 0);
  if (call.integers_if(0)) {
    Integers all;
    for (std::size_t i = 0; i < call.input_count(); ++i) {
      const Numbers more = call.integers(i).values;
      all.values.insert(all.values.end(), more.begin(), more.end());
      if (all.values.size() > 64) call.fail("expected a shape of at most 64 axes");
    }
    return call.set(all);
  }
  std::vector<Output> inputs;
  for (std::size_t i = 0; i < call.input_count(); ++i) inputs.push_back(call.plain(i));
  if (inputs.empty()) call.fail("has no input");
  const std::size_t rank = inputs[0].view.size();
  const std::int64_t wanted = rank == 3 ? 0 : static_cast<std::int64_t>(rank) - 1;
  if (axis_behind_batch(call, axis, rank) != wanted)
    call.fail("attribute axis: expected ", wanted + 1, ", got ", axis);
  call.set(inputs.size() == 1 ? inputs[0] : call.add(OpKind::concat, inputs));
}

void read_Slice(Call& call) {
  const Numbers axes = call.has(3) ? call.integers(3).values : Numbers{0};
  if (const auto integers = call.integers_if(0)) {
    const auto size = static_cast<std::int64_t>(integers->values.size());
    const auto [begin, end] = range_of(call, size);
    if (axes != Numbers{0}) call.fail("expected axis 0");
    const auto first = integers->values.begin();
    return call.set(Integers{{first + begin, first + std::max(begin, end)}, false});
  }
  const Output x = call.plain(0, 1);
  if (axes.size() != 1 || axis_behind_batch(call, axes[0], 1) != 0) call.fail("expected axis 1");
  const auto [begin, end] = range_of(call, x.view[0]);
  call.set(call.add(OpKind::slice, {x},
                    {.begin = begin, .length = std::max<std::int64_t>(end - begin, 0)}));
}

// Rows of a table by ids, the last step of a sequence, or axes of a shape.
void read_Gather(Call& call) {
  const std::int64_t axis = call.integer("axis", 0);
  if (call.is_constant(0)) {
    const ConstantPtr table = call.constant(0);
    const Output ids = call.plain(1, 1);
    if (ids.layer != 0 || call.network().input().type != ElementType::kInt32 || axis != 0 ||
        table->dims.size() != 2) {
      call.fail("expected rows of a table by the ids that are the input");
    }
    return call.set(call.add(OpKind::embedding, {ids},
                             {.out = table->dims[1], .vocabulary = table->dims[0]}, {table}));
  }
  const Integers index = call.integers(1);
  if (const auto shape = call.integers_if(0)) {
    Integers out{{}, index.is_scalar};
    const auto size = static_cast<std::int64_t>(shape->values.size());
    for (std::int64_t at : index.values) {
      if (at < 0) at += size;
      if (at < 0 || at >= size || axis != 0) call.fail("index ", at, " is out of range");
      out.values.push_back(shape->values[static_cast<std::size_t>(at)]);
    }
    return call.set(out);
  }
  const Output x = call.plain(0, 2);
  const std::int64_t last = x.view[0] - 1;
  const bool is_last = index.is_scalar && (index.values[0] == last || index.values[0] == -1);
  if (!is_last || axis_behind_batch(call, axis, 2) != 0)
    call.fail("expected the last of the steps, number ", last);
  call.set(call.add(OpKind::last_step, {x}));
}

// Of constants, and of attention's heads.
void read_Transpose(Call& call) {
  const Numbers order = call.list("perm").value_or(Numbers{});
  if (call.is_constant(0)) {
    const ConstantPtr matrix = call.constant(0);
    if (matrix->dims.size() != 2 || (!order.empty() && order != Numbers{1, 0}))
      call.fail("expected a matrix with its axes exchanged, got ", shape_text(matrix->dims));
    return call.set(transposed(call, *matrix));
  }
  if (const auto* split = call.get<Heads>(0);
      split != nullptr && split->stage == Heads::Stage::kSplit) {
    Heads next = *split;
    if (order == Numbers{0, 2, 1, 3}) {
      next.stage = Heads::Stage::kByHead;
    } else if (order == Numbers{0, 2, 3, 1}) {
      next.stage = Heads::Stage::kTransposed;
    } else {
      call.fail("attribute perm: expected 0 2 1 3 or 0 2 3 1 for heads");
    }
    return call.set(next);
  }
  if (const auto* heads = call.get<Heads>(0);
      heads != nullptr && heads->stage == Heads::Stage::kByHead && order == Numbers{0, 1, 3, 2}) {
    Heads next = *heads;
    next.stage = Heads::Stage::kTransposed;
    return call.set(next);
  }
  if (const auto* mixed = call.get<Attention>(0); mixed != nullptr &&
                                                  mixed->stage == Attention::Stage::kMixed &&
                                                  order == Numbers{0, 2, 1, 3}) {
    Attention next = *mixed;
    next.stage = Attention::Stage::kSteps;
    return call.set(next);
  }
  const Output x = call.output(0);
  if (!is_identity(order) || order.empty())
    call.fail("attribute perm: expected attention's heads, or axes as they are");
  call.set(x);
}

}  // namespace coppice::onnx_import
