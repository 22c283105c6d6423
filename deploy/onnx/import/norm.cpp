// Normalizations that one operator says.

#include <algorithm>  // for all_of

#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

bool is_all(const Constant& constant, float value) {
  return std::ranges::all_of(constant.values, [&](float one) { return one == value; });
}

// One factor a group as one a channel.
ConstantPtr for_channels(Call& call, const ConstantPtr& factors, std::int64_t channels) {
  const auto count = static_cast<std::int64_t>(factors->values.size());
  if (count == channels || count == 0 || channels % count != 0) return factors;
  call.charge(channels);
  auto out = std::make_shared<Constant>();
  out->name = factors->name;
  out->dims = {channels};
  for (const float value : factors->values)
    out->values.insert(out->values.end(), static_cast<std::size_t>(channels / count), value);
  return out;
}

}  // namespace

void read_BatchNormalization(Call& call) {
  call.expect("training_mode", 0);
  call.expect("spatial", 1);
  call.ignore("momentum");
  const Output x = call.plain(0, 3);
  call.set(call.add(OpKind::batch_norm, {x}, {.epsilon = call.real("epsilon", 1e-5)},
                    {call.constant(1), call.constant(2), call.constant(3), call.constant(4)}));
}

// Of an image, or of one that was reshaped to a row a group.
void read_InstanceNormalization(Call& call) {
  const ConstantPtr weight = call.constant(1);
  const ConstantPtr bias = call.constant(2);
  const double epsilon = call.real("epsilon", 1e-5);
  const auto* grouped = call.get<GroupNorm>(0);
  if (grouped == nullptr) {
    const Output x = call.plain(0, 3);
    return call.set(
        call.add(OpKind::group_norm, {x}, {.group_size = 1, .epsilon = epsilon}, {weight, bias}));
  }
  GroupNorm next = *grouped;
  if (next.stage != GroupNorm::Stage::kGrouped) call.fail("expected an image's groups");
  next.stage = GroupNorm::Stage::kNormalized;
  next.epsilon = epsilon;
  const auto groups = static_cast<std::size_t>(next.groups);
  if (weight->values.size() != groups || bias->values.size() != groups)
    call.fail("expected ", groups, " factors, got ", weight->values.size());
  if (!is_all(*weight, 1.0F)) next.weight = for_channels(call, weight, next.x.view[0]);
  if (!is_all(*bias, 0.0F)) next.bias = for_channels(call, bias, next.x.view[0]);
  call.set(next);
}

void read_GroupNormalization(Call& call) {
  call.ignore("stash_type");  // the precision of the statistics
  const Output x = call.plain(0, 3);
  const std::int64_t groups = call.integer("num_groups", 0);
  if (groups < 1 || x.view[0] % groups != 0)
    call.fail("attribute num_groups: expected a divisor of ", x.view[0], ", got ", groups);
  // A factor a group before opset 21, a channel since.
  call.set(call.add(OpKind::group_norm, {x},
                    {.group_size = x.view[0] / groups, .epsilon = call.real("epsilon", 1e-5)},
                    {for_channels(call, call.constant(1), x.view[0]),
                     for_channels(call, call.constant(2), x.view[0])}));
}

void read_LayerNormalization(Call& call) {
  call.ignore("stash_type");
  const Output x = call.plain(0);
  const auto last = static_cast<std::int64_t>(x.view.size());
  const std::int64_t axis = call.integer("axis", -1);
  if (axis != -1 && axis != last)
    call.fail("attribute axis: expected -1 or ", last, ", got ", axis);
  const ConstantPtr bias = call.constant_or_null(2);
  call.set(call.add(OpKind::layer_norm, {x}, {.epsilon = call.real("epsilon", 1e-5)},
                    {call.constant(1), bias != nullptr ? bias : call.filled(x.view.back(), 0.0F)}));
}

}  // namespace coppice::onnx_import
