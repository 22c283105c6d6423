// Operations on images [n, channels, height, width].

#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/mean.h>

#include <optional>  // for optional

#include "models/libtorch/op_call.h"

namespace coppice::libtorch {
namespace {

Pair stride_or(const Attributes& attributes, Pair when_zero) {
  Pair stride = attributes.stride;
  for (std::size_t i = 0; i < 2; ++i) {
    if (stride[i] == 0) stride[i] = when_zero[i];
  }
  return stride;
}

}  // namespace

at::Tensor run_conv2d(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  const std::optional<at::Tensor> bias = a.bias ? std::optional(call.parameters[1]) : std::nullopt;
  return at::conv2d(call.inputs[0], call.parameters[0], bias, stride_or(a, {1, 1}), a.padding,
                    /*dilation=*/1, a.groups);
}

at::Tensor run_max_pool2d(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  return at::max_pool2d(call.inputs[0], a.kernel, stride_or(a, a.kernel), a.padding);
}

at::Tensor run_avg_pool2d(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  return at::avg_pool2d(call.inputs[0], a.kernel, stride_or(a, a.kernel), a.padding);
}

at::Tensor run_global_avg_pool(const OpCall& call) {
  return at::mean(call.inputs[0], at::IntArrayRef{2, 3});
}

at::Tensor run_channel_scale(const OpCall& call) {
  return call.inputs[0].mul(call.inputs[1].unsqueeze(-1).unsqueeze(-1));
}

}  // namespace coppice::libtorch
