#include "models/resident/step.h"

#include <limits>  // for numeric_limits

#include "core/text.h"

namespace coppice::resident {
namespace {

struct Maker {
  OpKind op;
  std::unique_ptr<Step> (*make)(const StepInputs&);  // null: passes its input on as it is
  bool can_have_relu;
  bool can_have_channels_innermost;
};

constexpr Maker kMakers[] = {{OpKind::input, make_input_step, false, true},
                             {OpKind::normalize, make_normalize_step, false, true},
                             {OpKind::conv2d, make_convolution_step, true, true},
                             {OpKind::linear, make_linear_step, true, false},
                             {OpKind::relu, make_rectifier_step, false, true},
                             {OpKind::relu6, make_rectifier_step, false, true},
                             {OpKind::leaky_relu, make_rectifier_step, false, true},
                             {OpKind::max_pool2d, make_pool_step, false, true},
                             {OpKind::avg_pool2d, make_pool_step, false, true},
                             {OpKind::global_avg_pool, make_pool_step, false, true},
                             {OpKind::group_norm, make_group_norm_step, true, false},
                             {OpKind::add, make_add_step, true, true},
                             {OpKind::concat, make_concat_step, false, false},
                             {OpKind::dropout, make_dropout_step, false, false},
                             {OpKind::flatten, nullptr, false, true}};

const Maker* maker_of(OpKind op) {
  for (const Maker& maker : kMakers) {
    if (maker.op == op) return &maker;
  }
  return nullptr;
}

}  // namespace

void rectify_own_gradient(const Block& block, const Tensor& output) {
  if (output.signs != nullptr) {
    block.kernels.pass_between(output.signs, output.gradient, block.registers(output), 0.0F, false,
                               output.gradient);
    return;
  }
  block.kernels.rectify_gradient(output.values, output.gradient, block.registers(output), 0.0F,
                                 std::numeric_limits<float>::infinity(), false, output.gradient);
}

bool can_have_relu(OpKind op) {
  const Maker* maker = maker_of(op);
  return maker != nullptr && maker->can_have_relu;
}

bool can_have_channels_innermost(const Graph& graph, const Node& node, bool reads_data,
                                 std::int64_t lanes) {
  const Maker* maker = maker_of(node.op);
  if (maker == nullptr || !maker->can_have_channels_innermost) return false;
  if (node.inputs.empty() || node.op == OpKind::normalize) return true;
  const Shape& in = graph.nodes()[static_cast<std::size_t>(node.inputs[0])].shape;
  const bool fills_lanes = in[0] % lanes == 0;
  if (node.op != OpKind::conv2d) return fills_lanes;
  return node.attributes.groups == 1 && node.shape[0] % lanes == 0 && (fills_lanes || reads_data);
}

bool can_have_pool(const Graph& graph, const Node& convolution, const Node& pool,
                   std::int64_t lanes) {
  const Pair two = {2, 2};
  const Attributes& a = pool.attributes;
  const auto input = static_cast<std::size_t>(convolution.inputs.at(0));
  return convolution.op == OpKind::conv2d && pool.op == OpKind::max_pool2d && a.kernel == two &&
         (a.stride == two || a.stride == Pair{0, 0}) && a.padding == Pair{0, 0} &&
         convolution.shape[1] % 2 == 0 && convolution.shape[2] % 2 == 0 &&
         graph.nodes()[input].shape[0] % lanes == 0;
}

std::string unsupported(const Graph& graph, const Node& node) {
  const auto named = [&](const auto&... what) {
    return text("layer '", node.name, "' (", op_info(node.op).name, ")", what...);
  };
  if (maker_of(node.op) == nullptr) return named();
  if (node.shape.size() != 1 && node.shape.size() != 3)
    return named(" works on sequences (", shape_text(node.shape), ")");
  if (node.op == OpKind::input && graph.input().type != ElementType::kFloat32)
    return named(" takes ids");
  if (node.op == OpKind::leaky_relu && node.attributes.slope <= 0.0)
    return named(" has a slope that is not positive");
  return {};
}

std::unique_ptr<Step> make_step(const StepInputs& inputs) {
  if (inputs.node.op == OpKind::conv2d && inputs.output.has_channels_innermost)
    return make_channel_convolution_step(inputs);
  return maker_of(inputs.node.op)->make(inputs);
}

}  // namespace coppice::resident
