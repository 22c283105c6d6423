#include "core/quant_plan.h"

#include <algorithm>  // for find
#include <cmath>      // for isfinite

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace coppice {
namespace {

float scale_of(const Json& json) {
  const auto scale = static_cast<float>(json.as_number());
  if (!std::isfinite(scale) || scale <= 0.0F)
    throw DataError(text("expected a positive scale, got ", json.as_number()));
  return scale;
}

WeightQuant weight_from_json(const Json& entry, const Graph& graph) {
  WeightQuant weight{.parameter = entry.at("parameter").as_text(), .bits = 0, .scales = {}};
  const std::int64_t bits = entry.at("bits").as_integer();
  const int index = graph.parameter_named(weight.parameter);
  if (index < 0 || !is_weight_bits(bits))
    throw DataError(text(bits, " bits for '", weight.parameter.substr(0, 64), "'"));
  weight.bits = static_cast<int>(bits);
  for (const Json& scale : entry.at("scales").as_array()) weight.scales.push_back(scale_of(scale));
  const Shape& shape = graph.parameters()[static_cast<std::size_t>(index)].shape;
  if (static_cast<std::int64_t>(weight.scales.size()) != shape.front()) {
    throw DataError(text("'", weight.parameter, "': expected ", shape.front(), " scales, got ",
                         weight.scales.size()));
  }
  return weight;
}

ActivationQuant activation_from_json(const Json& entry, const Graph& graph) {
  ActivationQuant activation{.node = entry.at("node").as_text(),
                             .scale = scale_of(entry.at("scale"))};
  const std::int64_t zero_point = entry.at("zero_point").as_integer();
  if (graph.node_named(activation.node) < 0 || zero_point < 0 || zero_point > 255) {
    throw DataError(
        text("zero point ", zero_point, " for node '", activation.node.substr(0, 64), "'"));
  }
  activation.zero_point = static_cast<int>(zero_point);
  return activation;
}

}  // namespace

bool is_weight_bits(std::int64_t bits) { return bits >= 2 && bits <= 8 && bits != 5; }

int largest_code(int bits) { return (1 << (bits - 1)) - 1; }

int stored_bits(int bits) { return bits == 7 ? 8 : bits; }

int multiplied_bits(int bits) { return bits <= 4 ? 4 : 8; }

const WeightQuant* QuantPlan::weight(std::string_view parameter) const {
  const auto found = std::ranges::find(weights, parameter, &WeightQuant::parameter);
  return found == weights.end() ? nullptr : &*found;
}

const ActivationQuant* QuantPlan::activation(std::string_view node) const {
  const auto found = std::ranges::find(activations, node, &ActivationQuant::node);
  return found == activations.end() ? nullptr : &*found;
}

bool moves_values(OpKind op) {
  switch (op) {
    case OpKind::max_pool2d:
    case OpKind::flatten:
    case OpKind::dropout:
    case OpKind::slice:
    case OpKind::last_step:
      return true;
    default:
      return false;
  }
}

const ActivationQuant* grid_of(const Graph& graph, const QuantPlan& plan, int node) {
  const Node* at = &graph.nodes()[static_cast<std::size_t>(node)];
  while (moves_values(at->op)) at = &graph.nodes()[static_cast<std::size_t>(at->inputs.front())];
  return plan.activation(at->name);
}

double mean_bits(const QuantPlan& plan, const Graph& graph) {
  if (graph.parameter_count() == 0) return 0.0;
  double bits = 0.0;
  for (const ParameterSpec& parameter : graph.parameters()) {
    const WeightQuant* weight = plan.weight(parameter.name);
    const int stored = weight == nullptr ? 32 : stored_bits(weight->bits);
    bits += stored * static_cast<double>(parameter.size());
  }
  return bits / static_cast<double>(graph.parameter_count());
}

std::string to_json(const QuantPlan& plan) {
  Json::Array weights;
  for (const WeightQuant& weight : plan.weights) {
    Json entry;
    entry.set("parameter", weight.parameter);
    entry.set("bits", weight.bits);
    entry.set("scales",
              Json::array(std::vector<double>(weight.scales.begin(), weight.scales.end())));
    weights.push_back(std::move(entry));
  }
  Json::Array activations;
  for (const ActivationQuant& activation : plan.activations) {
    Json entry;
    entry.set("node", activation.node);
    entry.set("scale", double{activation.scale});
    entry.set("zero_point", activation.zero_point);
    activations.push_back(std::move(entry));
  }
  Json out;
  out.set("weights", std::move(weights));
  out.set("activations", std::move(activations));
  return out.dump();
}

QuantPlan quant_plan_from_json(const std::string& json, const Graph& graph) {
  const std::string what = "quantization plan";
  try {
    QuantPlan plan;
    const Json parsed = Json::parse(json, what);
    for (const Json& entry : parsed.at("weights").as_array()) {
      WeightQuant weight = weight_from_json(entry, graph);
      if (plan.weight(weight.parameter) != nullptr)
        throw DataError("'" + weight.parameter + "' is there twice");
      plan.weights.push_back(std::move(weight));
    }
    for (const Json& entry : parsed.at("activations").as_array()) {
      ActivationQuant activation = activation_from_json(entry, graph);
      if (plan.activation(activation.node) != nullptr)
        throw DataError("'" + activation.node + "' is there twice");
      plan.activations.push_back(std::move(activation));
    }
    return plan;
  } catch (const DataError&) {
    std::throw_with_nested(DataError(what));
  }
}

}  // namespace coppice
