#include "deploy/latency_probe.h"

#include <algorithm>  // for max, min
#include <cmath>      // for ceil
#include <optional>   // for optional
#include <string>     // for to_string
#include <utility>    // for move
#include <vector>     // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/schedule.h"

namespace coppice {
namespace {

using runtime::Inference;
using runtime::kBlockSide;
using runtime::Op;
using runtime::Shape;

// Never zero, and so small that no sum leaves 32 bits.
int code_at(std::int64_t i) { return static_cast<int>(i % 3) - 3; }

Shape with_channels(Shape shape, std::int64_t channels) {
  (shape.size() == 3 ? shape.front() : shape.back()) = channels;
  return shape;
}

// Which blocks of one four of output channels hold weights: `count` of `all`, anywhere.
std::vector<bool> chosen_blocks(std::int64_t all, std::int64_t count, RandomStream& random) {
  std::vector<bool> chosen(static_cast<std::size_t>(all));
  const std::vector<std::int64_t> order = random_permutation(all, random);
  for (std::int64_t i = 0; i < count; ++i)
    chosen[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = true;
  return chosen;
}

void fill_weights(runtime::Node& node, const runtime::ProductShape& shape, double density) {
  runtime::Weights& weights = node.weights;
  const std::int64_t count = shape.out * shape.row();
  if (weights.bits == 32) {
    for (std::int64_t i = 0; i < count; ++i)
      weights.values.push_back(0.01F * static_cast<float>(code_at(i)));
    return;
  }
  for (std::int64_t i = 0; i < count; ++i)
    weights.codes.push_back(static_cast<std::int8_t>(code_at(i)));
  weights.scales.assign(static_cast<std::size_t>(shape.out), 0.01F);
  RandomStream random({.purpose = Purpose::kGenerated, .task = shape.row()});
  if (density < 1.0) empty_blocks(weights, shape, density, random);
}

// Builds the nodes before the layer, then the layer.
class Builder {
 public:
  Builder(const runtime::Program& from, const TimedNode& node, const LayerVariant& candidate)
      : of_(from.nodes[node.index]),
        candidate_(candidate),
        inference_(infer(from)),
        flat_image_(flat_image(from, inference_, of_)) {
    const auto output =
        make_schedule(from, inference_, true, runtime::Folding::kAll).produces[node.index];
    grid_ = inference_.grids()[static_cast<std::size_t>(output)];
    is_product_ = inference_.counts(of_).row != 0;
    is_depthwise_ = is_product_ && product_shape(of_, inference_).is_depthwise();
  }

  Probe build() {
    add_input();
    for (std::size_t i = 1; i < of_.inputs.size(); ++i) add_other_input(i);
    if (!flat_image_.empty()) inputs_[0] = add(Op::flatten);
    add_layer();
    return std::move(probe_);
  }

 private:
  std::size_t source(std::size_t input) const {
    return static_cast<std::size_t>(of_.inputs[input]);
  }

  // Of the first input.
  std::int64_t channels() const {
    if (is_product_) return candidate_.in * (is_depthwise_ ? candidate_.out : of_.groups);
    if (of_.op != Op::concat) return candidate_.out;
    const auto parts = static_cast<std::int64_t>(of_.inputs.size());
    return std::max<std::int64_t>(1, candidate_.out / parts);
  }

  void add_input() {
    const Shape& shape = flat_image_.empty() ? inference_.shapes()[source(0)] : flat_image_;
    probe_.program.input.shape = with_channels(shape, channels());
    runtime::Node node;
    node.name = "input";
    node.grid = inference_.grids()[source(0)];
    inputs_ = {0};
    probe_.program.nodes.push_back(std::move(node));
  }

  // A node that reads the input.
  std::int32_t add(Op op, const std::optional<runtime::Grid>& grid = std::nullopt) {
    const auto index = static_cast<std::int32_t>(probe_.program.nodes.size());
    runtime::Node node;
    node.op = op;
    node.name = "before" + std::to_string(index);
    node.inputs = {0};
    node.grid = grid;
    probe_.program.nodes.push_back(std::move(node));
    return index;
  }

  void add_other_input(std::size_t input) {
    const Op op = of_.op == Op::channel_scale ? Op::global_avg_pool : Op::relu;
    inputs_.push_back(add(op, inference_.grids()[source(input)]));
  }

  void add_layer() {
    runtime::Node node = of_;
    node.name = "layer";
    node.inputs = inputs_;
    if (!runtime::moves_values(node.op)) node.grid = grid_;
    if (node.op == Op::slice) {
      node.begin = 0;
      node.length = candidate_.out;
    }
    if (is_product_) node.out = candidate_.out;
    if (is_depthwise_) node.groups = candidate_.out;
    node.weights = {.bits = candidate_.bits == 0 ? 32 : candidate_.bits,
                    .values = {},
                    .codes = {},
                    .scales = {}};
    node.bias.clear();
    node.bias_codes.clear();
    Inference before(probe_.program.input);
    for (const runtime::Node& earlier : probe_.program.nodes) before.add(earlier);
    before.add(node);
    node.norm.assign(static_cast<std::size_t>(before.counts(node).norm), 1.0F);
    if (is_product_) {
      const runtime::ProductShape shape = product_shape(node, before);
      fill_weights(node, shape, candidate_.density);
      node.weights = laid_out(node.weights, shape, candidate_.layout);
    }
    probe_.node = probe_.program.nodes.size();
    probe_.program.nodes.push_back(std::move(node));
  }

  const runtime::Node& of_;
  const LayerVariant& candidate_;
  Inference inference_;
  Shape flat_image_;
  bool is_product_ = false;
  bool is_depthwise_ = false;
  std::optional<runtime::Grid> grid_;  // of the output
  std::vector<std::int32_t> inputs_;   // of the layer
  Probe probe_;
};

}  // namespace

void empty_blocks(runtime::Weights& rows, const runtime::ProductShape& shape, double density,
                  RandomStream& random) {
  const std::int64_t all = block_count(shape);
  const auto count = static_cast<std::int64_t>(std::ceil(density * static_cast<double>(all)));
  for (std::int64_t first = 0; first < shape.out; first += kBlockSide) {
    const std::vector<bool> chosen = chosen_blocks(all, count, random);
    const std::int64_t end = std::min(first + kBlockSide, shape.out) * shape.row();
    for (std::int64_t i = first * shape.row(); i < end; ++i) {
      const std::int64_t block = block_of(shape, i);
      if (!chosen[static_cast<std::size_t>(block)]) rows.codes[static_cast<std::size_t>(i)] = 0;
    }
  }
}

Probe make_probe(const runtime::Program& program, const TimedNode& node,
                 const LayerVariant& candidate) {
  if (program.nodes[node.index].op == Op::input) return {program, node.index};
  return Builder(program, node, candidate).build();
}

}  // namespace coppice
