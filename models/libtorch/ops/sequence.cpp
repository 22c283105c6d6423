// Operations on sequences [n, steps, features] and on ids.

#include <ATen/ops/embedding.h>
#include <ATen/ops/embedding_bag.h>
#include <ATen/ops/gru.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <array>     // for array
#include <optional>  // for optional
#include <tuple>     // for get
#include <vector>    // for vector

#include "core/error.h"
#include "core/text.h"
#include "models/libtorch/op_call.h"

namespace coppice::libtorch {
namespace {

[[noreturn]] void fail_id(const Node& node, std::int64_t id) {
  throw ConfigError(text("node '", node.name, "': id ", id, " is outside the vocabulary [0, ",
                         node.attributes.vocabulary, ")"));
}

// One of attention's four projections; parameters are weight and, if there is one, bias.
at::Tensor project(const OpCall& call, std::size_t part, const at::Tensor& x) {
  const bool has_bias = call.node.attributes.bias;
  const std::size_t first = part * (has_bias ? 2 : 1);
  return at::linear(x, call.parameters[first],
                    has_bias ? std::optional(call.parameters[first + 1]) : std::nullopt);
}

// [n, steps, heads * size] -> [n, heads, steps, size]
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

at::Tensor zero_state(const OpCall& call) {
  const at::Tensor& x = call.inputs[0];
  return at::zeros({1, x.size(0), call.node.attributes.hidden}, x.options().requires_grad(false));
}

at::TensorList list_of(std::span<const at::Tensor> tensors) {
  return {tensors.data(), tensors.size()};
}

}  // namespace

at::Tensor run_embedding(const OpCall& call) {
  const at::Tensor ids = call.inputs[0].to(at::kLong).contiguous();
  const auto* id = ids.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    if (id[i] < 0 || id[i] >= call.node.attributes.vocabulary) fail_id(call.node, id[i]);
  }
  return at::embedding(call.parameters[0], ids);
}

at::Tensor run_embedding_bag(const OpCall& call) {
  const at::Tensor ids = call.inputs[0].to(at::kLong).contiguous();
  const auto* id = ids.const_data_ptr<std::int64_t>();
  std::vector<std::int64_t> present;
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    if (i % ids.size(1) == 0) offsets.push_back(static_cast<std::int64_t>(present.size()));
    if (id[i] >= call.node.attributes.vocabulary) fail_id(call.node, id[i]);
    if (id[i] >= 0) present.push_back(id[i]);
  }
  return std::get<0>(
      at::embedding_bag(call.parameters[0], at::tensor(present, at::kLong), at::tensor(offsets)));
}

at::Tensor run_positions(const OpCall& call) { return call.inputs[0].add(call.parameters[0]); }

at::Tensor run_attention(const OpCall& call) {
  const Attributes& a = call.node.attributes;
  std::array<at::Tensor, 3> heads;  // query, key, value
  for (std::size_t part = 0; part < 3; ++part) {
    heads[part] = split_heads(project(call, part, call.inputs[0]), a.heads);
  }
  const at::Tensor mixed = at::scaled_dot_product_attention(
      heads[0], heads[1], heads[2], /*attn_mask=*/{}, /*dropout_p=*/0.0, a.causal);
  return project(call, 3, mixed.transpose(1, 2).flatten(2));
}

at::Tensor run_lstm(const OpCall& call) {
  const std::array<at::Tensor, 2> state = {zero_state(call), zero_state(call)};
  return std::get<0>(at::lstm(call.inputs[0], state, list_of(call.parameters), /*has_biases=*/true,
                              /*num_layers=*/1, /*dropout=*/0.0, /*train=*/false,
                              /*bidirectional=*/false, /*batch_first=*/true));
}

at::Tensor run_gru(const OpCall& call) {
  return std::get<0>(at::gru(call.inputs[0], zero_state(call), list_of(call.parameters),
                             /*has_biases=*/true, /*num_layers=*/1, /*dropout=*/0.0,
                             /*train=*/false,
                             /*bidirectional=*/false, /*batch_first=*/true));
}

at::Tensor run_last_step(const OpCall& call) { return call.inputs[0].select(1, -1); }

}  // namespace coppice::libtorch
