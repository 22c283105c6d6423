#include "deploy/onnx/import/network.h"

#include <algorithm>  // for find
#include <cctype>     // for isalnum
#include <utility>    // for move

#include "core/error.h"
#include "core/op_rules.h"
#include "core/text.h"
#include "deploy/onnx/import/plan.h"

namespace coppice::onnx_import {
namespace {

constexpr std::size_t kMaxName = 96;
constexpr std::string_view kWeightSuffix = ".weight";

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
}

// As Graph::build() takes names: "/layer1/conv/Conv" becomes "layer1.conv.Conv".
std::string plain_name(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, kMaxName)) {
    if (is_plain(c)) {
      out += c;
    } else if (!out.empty()) {
      out += '.';
    }
  }
  return out;
}

// What the logits tell apart: one label a sample, or one a step.
std::int64_t labels_of(const Shape& logits, const InputSpec& input) {
  if (logits.size() > 2) {
    throw DataError(
        text("the output: expected logits, classes or steps x classes, got ", shape_text(logits)));
  }
  if (!input.label_names.empty() &&
      static_cast<std::int64_t>(input.label_names.size()) != logits.back()) {
    throw DataError(
        text("expected ", logits.back(), " label names, got ", input.label_names.size()));
  }
  return logits.size() == 2 ? logits.front() : 1;
}

}  // namespace

Network::Network(InputSpec input, std::int64_t elements)
    : input_(std::move(input)), elements_left_(elements) {
  check_size("input", input_.shape);
  Layer first;
  first.spec.name = "input";
  first.shape = input_.shape;
  layers_.push_back(std::move(first));
  names_.insert("input");
}

void Network::charge(std::int64_t elements) {
  elements_left_ -= elements;
  if (elements_left_ < 0) throw DataError("tensors are used too many times over");
}

std::string Network::name_for(std::string_view wanted, const Constant* first) {
  if (first != nullptr && first->name.ends_with(kWeightSuffix)) {
    const std::string& weight = first->name;
    std::string stem = plain_name(weight.substr(0, weight.size() - kWeightSuffix.size()));
    if (!stem.empty() && names_.insert(stem).second) return stem;
  }
  const std::string plain = plain_name(wanted);
  std::string name = plain;
  for (int i = 2; !names_.insert(name).second; ++i) name = text(plain, '_', i);
  return name;
}

Output Network::add(OpKind op, std::string_view wanted, std::vector<Output> inputs,
                    const Attributes& attributes, std::vector<ConstantPtr> parameters) {
  Layer out;
  out.op = op;
  out.spec.op = op_info(op).name;
  out.spec.name =
      name_for(wanted.empty() ? op_info(op).name : wanted,
               // attention's are those of its projections
               parameters.empty() || op == OpKind::attention ? nullptr : parameters[0].get());
  out.spec.attributes = attributes;
  std::vector<Shape> shapes;
  shapes.reserve(inputs.size());
  for (const Output& one : inputs) shapes.push_back(layer(one.layer).shape);
  const NodeView view{op, out.spec.name, out.spec.attributes, shapes};
  out.shape = op_rules(op).shape(view);
  check_size(text("layer '", out.spec.name, "'"), out.shape);
  const std::vector<ParameterSpec> wants = op_rules(op).parameters(view);
  if (wants.size() != parameters.size())
    throw DataError(text("expected ", wants.size(), " parameters, got ", parameters.size()));
  for (std::size_t i = 0; i < wants.size(); ++i) {
    check_size(text("parameter '", out.spec.name, '.', wants[i].name, "'"), wants[i].shape);
    if (static_cast<std::int64_t>(parameters[i]->values.size()) != wants[i].size()) {
      throw DataError(text(wants[i].name, ": expected ", shape_text(wants[i].shape), ", got ",
                           shape_text(parameters[i]->dims)));
    }
  }
  out.inputs = std::move(inputs);
  out.parameters = std::move(parameters);
  Output output{static_cast<int>(layers_.size()), kNoGrid, out.shape};
  layers_.push_back(std::move(out));
  return output;
}

Output Network::quantize(const Output& output, const Grid& grid) {
  const auto found = std::ranges::find(grids_, grid);
  const auto index = static_cast<int>(found - grids_.begin());
  if (found == grids_.end()) grids_.push_back(grid);
  Output out = output;
  if (output.grid != kNoGrid && output.grid != index) {  // from one grid to another
    const Shape view = output.view;
    out = add(OpKind::normalize, layer(output.layer).spec.name + ".grid", {output}, {}, {});
    out.view = view;
  }
  out.grid = index;
  return out;
}

Checkpoint Network::finish(const Output& output) && {
  input_.labels_per_sample = labels_of(layer(output.layer).shape, input_);
  GridPlan plan(layers_, output);
  const auto grid_at = [&](int grid) -> const Grid& {
    return grids_[static_cast<std::size_t>(grid)];
  };
  std::vector<LayerSpec> specs;
  Checkpoint out;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const auto index = static_cast<int>(i);
    for (const Output& one : layer.inputs) layer.spec.inputs.push_back(plan.name_of(one));
    if (i > 0) {
      const int input = plan.effective(layer.inputs.front());
      append_parameters(layer, input == kNoGrid ? nullptr : &grid_at(input), out);
      specs.push_back(layer.spec);
    }
    if (const int grid = plan.carried(index); grid != kNoGrid)
      out.plan.activations.push_back(activation(layer.spec.name, grid_at(grid)));
    for (const int grid : plan.extra(index)) {
      const std::string name = name_for(layer.spec.name + ".grid", nullptr);
      specs.push_back({"normalize", name, {layer.spec.name}, {}});
      out.plan.activations.push_back(activation(name, grid_at(grid)));
      plan.rename(index, grid, name);
    }
  }
  out.graph = Graph::build(std::move(input_), std::move(specs));
  return out;
}

}  // namespace coppice::onnx_import
