#include "tests/deploy_onnx_slow/fake_quant_reference.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "algorithms/quantize.h"
#include "models/executor.h"

namespace coppice {
namespace {

std::span<const float> values_of(const ReferenceModel& model, int parameter) {
  const ParameterSpec& spec = model.graph.parameters()[static_cast<std::size_t>(parameter)];
  return std::span(model.parameters)
      .subspan(static_cast<std::size_t>(spec.offset), static_cast<std::size_t>(spec.size()));
}

// The node's parameters one after the other, as its integers mean them.
std::vector<float> parameters_of(const ReferenceModel& model, const Node& node) {
  std::vector<float> out;
  const WeightQuant* weight = nullptr;
  for (const int index : node.parameters) {
    const auto source = values_of(model, index);
    std::vector<float> values(source.begin(), source.end());
    const std::string& name = model.graph.parameters()[static_cast<std::size_t>(index)].name;
    if (const WeightQuant* quant = model.plan.weight(name)) {
      weight = quant;
      fake_quantize(values, *quant);
    } else if (weight != nullptr) {
      const ActivationQuant* input = grid_of(model.graph, model.plan, node.inputs.front());
      if (input != nullptr) {
        for (std::size_t c = 0; c < values.size(); ++c) {
          const float scale = input->scale * weight->scales[c];
          values[c] = std::nearbyint(values[c] / scale) * scale;
        }
      }
    }
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

// The executor wants logits as output, so an image is flattened behind the node.
std::vector<float> run_alone(const Graph& graph, const Node& node,
                             const std::vector<float>& parameters,
                             const std::vector<float>& input) {
  InputSpec spec = graph.input();
  spec.shape = graph.nodes()[static_cast<std::size_t>(node.inputs.front())].shape;
  std::vector<LayerSpec> layers{
      {std::string(op_info(node.op).name), node.name, {}, node.attributes}};
  if (node.shape.size() == 3) layers.push_back({"flatten", node.name + ".values", {}, {}});
  auto executor = make_executor("auto", Graph::build(spec, std::move(layers)));
  return executor->infer({.parameters = parameters}, input);
}

void round_to_grid(std::vector<float>& values, const ActivationQuant& quant) {
  const auto zero_point = static_cast<float>(quant.zero_point);
  for (float& value : values) {
    const float code = std::clamp(std::nearbyint(value / quant.scale) + zero_point, 0.0F, 255.0F);
    value = (code - zero_point) * quant.scale;
  }
}

}  // namespace

std::vector<std::vector<float>> reference_outputs(const ReferenceModel& model,
                                                  const std::vector<float>& samples) {
  std::vector<std::vector<float>> out;
  for (const Node& node : model.graph.nodes()) {
    std::vector<float> values = samples;
    if (node.op == OpKind::add) {
      values = out[static_cast<std::size_t>(node.inputs[0])];
      const std::vector<float>& other = out[static_cast<std::size_t>(node.inputs[1])];
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += other[i];
    } else if (node.op != OpKind::input) {
      values = run_alone(model.graph, node, parameters_of(model, node),
                         out[static_cast<std::size_t>(node.inputs.front())]);
    }
    if (const ActivationQuant* quant = model.plan.activation(node.name))
      round_to_grid(values, *quant);
    out.push_back(std::move(values));
  }
  return out;
}

QuantPlan plan_for(const Graph& graph, const std::vector<float>& parameters,
                   const std::vector<float>& samples, int bits) {
  const ReferenceModel model{graph, parameters, {}};
  QuantPlan plan;
  for (const std::string& name : quantized_parameters(graph)) {
    const int index = graph.parameter_named(name);
    plan.weights.push_back(weight_quant(graph.parameters()[static_cast<std::size_t>(index)],
                                        values_of(model, index), bits));
  }
  const auto outputs = reference_outputs(model, samples);
  for (const std::string& name : quantized_nodes(graph)) {
    const std::vector<float>& values = outputs[static_cast<std::size_t>(graph.node_named(name))];
    const auto [low, high] = std::ranges::minmax(values);
    const float lowest = std::min(low, 0.0F);
    const float scale = (std::max(high, 0.0F) - lowest) / 255.0F;
    plan.activations.push_back({name, scale, static_cast<int>(std::nearbyint(-lowest / scale))});
  }
  return plan;
}

}  // namespace coppice
