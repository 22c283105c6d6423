#include "deploy/lower.h"

#include <algorithm>  // for copy
#include <charconv>   // for from_chars

#include "algorithms/quantize.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/layout_choice.h"

namespace coppice {
namespace {

runtime::Op op_of(const Node& node) {
  const OpInfo& info = op_info(node.op);
  const runtime::OpInfo* found = runtime::find_op(info.name);
  if (info.runtime == Capability::not_yet || found == nullptr || !found->runs) {
    throw ConfigError(
        text("node '", node.name, "': the deployment runtime does not have ", info.name, " yet"));
  }
  return found->op;
}

runtime::Pair stride_of(const Node& node) {
  const Pair when_zero = node.op == OpKind::conv2d ? Pair{1, 1} : node.attributes.kernel;
  runtime::Pair stride = node.attributes.stride;
  for (std::size_t i = 0; i < stride.size(); ++i) {
    if (stride[i] == 0) stride[i] = when_zero[i];
  }
  return stride;
}

// Only what the operation reads: the rest keeps its defaults, as a file has it.
void lower_attributes(const Node& from, runtime::Node& to) {
  const Attributes& a = from.attributes;
  switch (from.op) {
    case OpKind::conv2d:
      to.out = a.out;
      to.groups = a.groups;
      [[fallthrough]];
    case OpKind::max_pool2d:
    case OpKind::avg_pool2d:
      to.kernel = a.kernel;
      to.stride = stride_of(from);
      to.padding = a.padding;
      break;
    case OpKind::linear:
      to.out = a.out;
      break;
    case OpKind::group_norm:
      to.group_size = a.group_size;
      [[fallthrough]];
    case OpKind::batch_norm:
    case OpKind::layer_norm:
      to.epsilon = static_cast<float>(a.epsilon);
      break;
    case OpKind::leaky_relu:
      to.slope = static_cast<float>(a.slope);
      break;
    case OpKind::normalize:
      to.mean = static_cast<float>(a.mean);
      to.deviation = static_cast<float>(a.deviation);
      break;
    case OpKind::slice:
      to.begin = a.begin;
      to.length = a.length;
      break;
    default:
      break;
  }
}

class Lowering {
 public:
  explicit Lowering(const Checkpoint& checkpoint)
      : graph_(checkpoint.graph), plan_(checkpoint.plan), parameters_(checkpoint.parameters) {
    if (static_cast<std::int64_t>(parameters_.size()) != graph_.parameter_count()) {
      throw ConfigError(text("checkpoint: expected ", graph_.parameter_count(), " parameters, got ",
                             parameters_.size()));
    }
    if (checkpoint.mask) checkpoint.mask->apply(parameters_);
  }

  runtime::Node lower(const Node& from) const {
    runtime::Node to;
    to.op = op_of(from);
    to.name = from.name;
    to.inputs.assign(from.inputs.begin(), from.inputs.end());
    lower_attributes(from, to);
    if (const ActivationQuant* grid = plan_.activation(from.name)) {
      if (moves_values(from.op)) {
        throw ConfigError(text("node '", from.name, "': ", op_info(from.op).name,
                               " only moves values and has the grid of its input"));
      }
      to.grid = runtime::Grid{grid->scale, static_cast<std::uint8_t>(grid->zero_point)};
    }
    if (from.op == OpKind::conv2d || from.op == OpKind::linear) {
      lower_product(from, to);
    } else {
      for (const int index : from.parameters) append(to.norm, values(index));
    }
    return to;
  }

 private:
  std::span<const float> values(int index) const {
    const ParameterSpec& parameter = graph_.parameters()[static_cast<std::size_t>(index)];
    return std::span(parameters_)
        .subspan(static_cast<std::size_t>(parameter.offset),
                 static_cast<std::size_t>(parameter.size()));
  }

  static void append(std::vector<float>& to, std::span<const float> from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  // Weights as codes if the plan has them; the bias as codes if the input has a grid too.
  void lower_product(const Node& from, runtime::Node& to) const {
    const int weight = from.parameters[0];
    const WeightQuant* quant =
        plan_.weight(graph_.parameters()[static_cast<std::size_t>(weight)].name);
    if (quant == nullptr) {
      append(to.weights.values, values(weight));
    } else {
      to.weights.bits = multiplied_bits(quant->bits);
      to.weights.codes = weight_codes(values(weight), *quant);
      to.weights.scales = quant->scales;
    }
    if (from.parameters.size() < 2) return;
    const ActivationQuant* input = grid_of(graph_, plan_, from.inputs[0]);
    if (quant != nullptr && input != nullptr) {
      to.bias_codes = bias_codes(values(from.parameters[1]), input->scale, *quant);
    } else {
      append(to.bias, values(from.parameters[1]));
    }
  }

  const Graph& graph_;
  const QuantPlan& plan_;
  std::vector<float> parameters_;
};

runtime::InputSpec lower_input(const InputSpec& input) {
  return {.shape = input.shape,
          .type = input.type == ElementType::kInt32 ? runtime::ElementType::kInt32
                                                    : runtime::ElementType::kFloat32,
          .labels_per_sample = input.labels_per_sample,
          .label_names = input.label_names};
}

std::array<std::uint8_t, 32> digest_of(const std::string& hex) {
  std::array<std::uint8_t, 32> digest{};
  for (std::size_t i = 0; i < digest.size(); ++i)
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, digest[i], 16);
  return digest;
}

}  // namespace

runtime::Program lower_in_rows(const Checkpoint& checkpoint) {
  const Lowering lowering(checkpoint);
  runtime::Program program;
  program.model_sha256 = digest_of(model_sha256(checkpoint));
  program.input = lower_input(checkpoint.graph.input());
  for (const Node& node : checkpoint.graph.nodes()) program.nodes.push_back(lowering.lower(node));
  return program;
}

runtime::Program lower(const Checkpoint& checkpoint) {
  return with_chosen_layouts(lower_in_rows(checkpoint), nullptr);
}

}  // namespace coppice
