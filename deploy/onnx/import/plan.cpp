#include "deploy/onnx/import/plan.h"

#include <algorithm>  // for all_of, max
#include <cmath>      // for abs, isfinite
#include <cstdlib>    // for abs

#include "core/error.h"
#include "core/text.h"
#include "deploy/onnx/names.h"

namespace coppice::onnx_import {

GridPlan::GridPlan(const std::vector<Layer>& layers, const Output& output)
    : layers_(layers),
      grids_(layers.size()),
      readers_(layers.size()),
      carried_(layers.size(), kNoGrid),
      effective_(layers.size(), kNoGrid) {
  const auto read = [&](const Output& one) {
    grids_[static_cast<std::size_t>(one.layer)].insert(one.grid);
    ++readers_[static_cast<std::size_t>(one.layer)];
  };
  for (const Layer& layer : layers) {
    for (const Output& one : layer.inputs) read(one);
  }
  read(output);
  move_towards_sources();
  carry();
}

void GridPlan::move_towards_sources() {
  for (std::size_t i = layers_.size(); i-- > 1;) {
    if (!moves_values(layers_[i].op) || grids_[i].size() != 1) continue;
    const Output& source = layers_[i].inputs.front();
    const auto from = static_cast<std::size_t>(source.layer);
    if (source.grid == kNoGrid && readers_[from] == 1) grids_[from] = grids_[i];
  }
}

void GridPlan::carry() {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const bool moves = i > 0 && moves_values(layers_[i].op);
    if (moves) {
      effective_[i] = effective(layers_[i].inputs.front());
    } else if (grids_[i].size() == 1) {
      carried_[i] = effective_[i] = *grids_[i].begin();
    }
  }
}

std::vector<int> GridPlan::extra(int layer) const {
  const auto at = static_cast<std::size_t>(layer);
  std::vector<int> out;
  for (const int grid : grids_[at]) {
    if (grid != kNoGrid && grid != effective_[at]) out.push_back(grid);
  }
  return out;
}

int GridPlan::effective(const Output& read) const {
  return read.grid == kNoGrid ? effective_[static_cast<std::size_t>(read.layer)] : read.grid;
}

const std::string& GridPlan::name_of(const Output& read) const {
  const auto found = extra_.find({read.layer, read.grid});
  return found == extra_.end() ? layers_[static_cast<std::size_t>(read.layer)].spec.name
                               : found->second;
}

ActivationQuant activation(std::string node, const Grid& grid) {
  return {.node = std::move(node), .scale = grid.scale, .zero_point = grid.zero_point};
}

namespace {

bool has_plan(OpKind op) {
  return op == OpKind::conv2d || op == OpKind::linear || op == OpKind::embedding;
}

std::int32_t largest_magnitude(const std::vector<std::int32_t>& codes) {
  std::int32_t largest = 0;
  for (const std::int32_t code : codes) largest = std::max(largest, std::abs(code));
  return largest;
}

// As the file says it; in files of others 4 where that is enough, because a .cpk packs those.
int bits_of(const Constant& weight, std::int32_t largest) {
  for (const int bits : {2, 3, 4, 6, 7, 8}) {
    if (weight.remark == onnx_export::bits_remark(bits) && largest <= largest_code(bits))
      return bits;
  }
  return largest <= largest_code(4) ? 4 : 8;
}

WeightQuant weight_plan(const std::string& parameter, const Constant& weight) {
  const std::int32_t largest = largest_magnitude(weight.codes);
  if (largest > largest_code(8)) {
    throw DataError(
        text("'", parameter, "': expected codes within 127 of the zero point, got ", largest));
  }
  WeightQuant out{
      .parameter = parameter, .bits = bits_of(weight, largest), .scales = weight.scales};
  const auto channels = static_cast<std::size_t>(weight.dims.front());
  if (out.scales.size() == 1) out.scales.resize(channels, weight.scales.front());
  if (out.scales.size() != channels || (weight.scales.size() > 1 && weight.axis != 0)) {
    throw DataError(text("'", parameter, "': expected a scale for each of ", channels,
                         " output channels, got ", weight.scales.size(), " along axis ",
                         weight.axis));
  }
  return out;
}

// Codes of a bias on the grid that the plan puts it on, as the values that give these codes again;
// codes on another grid as the values they stand for.
std::vector<float> bias_values(const Constant& bias, const WeightQuant& weight, const Grid& input) {
  std::vector<float> out = bias.values;
  if (bias.codes.size() != weight.scales.size()) return out;
  for (std::size_t c = 0; c < out.size(); ++c) {
    const double scale = double{input.scale} * double{weight.scales[c]};
    const float said = bias.scales[bias.scales.size() == 1 ? 0 : c];
    if (std::abs(double{said} - scale) < 1e-6 * scale)
      out[c] = static_cast<float>(double{static_cast<double>(bias.codes[c])} * scale);
  }
  return out;
}

}  // namespace

void append_parameters(const Layer& layer, const Grid* input, Checkpoint& out) {
  const WeightQuant* weight = nullptr;
  if (has_plan(layer.op) && !layer.parameters[0]->codes.empty()) {
    out.plan.weights.push_back(weight_plan(layer.spec.name + ".weight", *layer.parameters[0]));
    weight = &out.plan.weights.back();
  }
  for (std::size_t i = 0; i < layer.parameters.size(); ++i) {
    const Constant& constant = *layer.parameters[i];
    const bool is_bias = i == 1 && weight != nullptr && input != nullptr;
    const std::vector<float> values =
        is_bias ? bias_values(constant, *weight, *input) : constant.values;
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      throw DataError(
          text("layer '", layer.spec.name, "': a value of '", constant.name, "' is not finite"));
    }
    out.parameters.insert(out.parameters.end(), values.begin(), values.end());
  }
}

}  // namespace coppice::onnx_import
