#include "deploy/latency_of_weights.h"

#include <algorithm>  // for count, find, min
#include <optional>   // for optional
#include <utility>    // for move

#include "algorithms/fold.h"
#include "algorithms/quantize.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/lower.h"
#include "deploy/runtime/inference.h"

namespace coppice {
namespace {

constexpr int kWidestBits = 8;

// In integers, on grids and with weights that do not matter for time.
Checkpoint blank(const Graph& graph) {
  const std::vector<float> zeros(static_cast<std::size_t>(graph.parameter_count()));
  FoldedModel folded = fold_batch_norm(graph, zeros);
  Checkpoint checkpoint;
  checkpoint.graph = std::move(folded.graph);
  checkpoint.parameters = std::move(folded.parameters);
  checkpoint.plan.weights = weight_grids(checkpoint.graph, checkpoint.parameters, kWidestBits);
  for (const std::string& node : quantized_nodes(checkpoint.graph))
    checkpoint.plan.activations.push_back({.node = node, .scale = 1.0F / 32.0F, .zero_point = 0});
  return checkpoint;
}

// The weight that a node multiplies by, as its name; of others nothing.
std::string weight_of(const Graph& graph, std::size_t node) {
  const Node& of = graph.nodes()[node];
  if (of.op != OpKind::conv2d && of.op != OpKind::linear) return {};
  return graph.parameters()[static_cast<std::size_t>(of.parameters[0])].name;
}

double share_of_blocks(const runtime::ProductShape& shape, std::span<const float> values) {
  const std::int64_t columns = block_count(shape);
  const std::int64_t rows = (shape.out + runtime::kBlockSide - 1) / runtime::kBlockSide;
  std::vector<bool> holds(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0.0F) continue;
    const auto index = static_cast<std::int64_t>(i);
    const std::int64_t row = index / shape.row() / runtime::kBlockSide;
    holds[static_cast<std::size_t>(row * columns + block_of(shape, index))] = true;
  }
  return static_cast<double>(std::ranges::count(holds, true)) / static_cast<double>(holds.size());
}

// Those of `others` that work on the output of node `from` alone, with as many channels.
std::vector<TimedNode> followers_of(const runtime::Program& program, const TimedNode& from,
                                    std::span<const TimedNode> others) {
  std::vector<bool> is_of(program.nodes.size());
  is_of[from.index] = true;
  std::vector<TimedNode> out;
  for (std::size_t i = from.index + 1; i < program.nodes.size(); ++i) {
    const runtime::Node& node = program.nodes[i];
    if (node.inputs.size() != 1 || !is_of[static_cast<std::size_t>(node.inputs[0])]) continue;
    const auto timed = std::ranges::find(others, i, &TimedNode::index);
    if (timed == others.end()) {  // takes no time of its own
      is_of[i] = runtime::changes_nothing(node.op) || runtime::is_elementwise(node.op);
      continue;
    }
    is_of[i] = timed->bits == 0 && timed->out == from.out;
    if (is_of[i]) out.push_back(*timed);
  }
  return out;
}

}  // namespace

WeightTimes::WeightTimes(const Graph& graph, std::span<const std::string> parameters,
                         const LatencyTable& table)
    : table_(table) {
  const Checkpoint checkpoint = blank(graph);
  const runtime::Program program = lower_in_rows(checkpoint);
  const runtime::Inference inference = infer(program);
  std::vector<std::optional<Layer>> found(parameters.size());
  std::vector<TimedNode> others;
  for (TimedNode& node : timed_nodes(program)) {
    const auto at = std::ranges::find(parameters, weight_of(checkpoint.graph, node.index));
    if (at == parameters.end()) {
      others_ += table.microseconds(node);
      others.push_back(std::move(node));
      continue;
    }
    const runtime::ProductShape shape = product_shape(program.nodes[node.index], inference);
    found[static_cast<std::size_t>(at - parameters.begin())] = {std::move(node), shape};
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) {
      throw ConfigError(
          text("latency table: no conv2d or linear that takes time reads '", parameters[i], "'"));
    }
    layers_.push_back(std::move(*found[i]));
    layers_.back().followers = followers_of(program, layers_.back().node, others);
  }
}

double WeightTimes::follower_microseconds(std::size_t index, std::int64_t channels) const {
  double sum = 0.0;
  for (TimedNode node : layers_[index].followers) {
    node.out = channels;
    sum += table_.microseconds(node);
  }
  return sum;
}

double WeightTimes::microseconds(std::size_t index, std::span<const float> values, int bits) const {
  const Layer& layer = layers_[index];
  runtime::ProductShape shape = layer.shape;
  shape.out = static_cast<std::int64_t>(values.size()) / shape.row();
  TimedNode dense = layer.node;
  dense.out = shape.out;
  if (shape.is_integer()) dense.bits = multiplied_bits(bits);
  const double dense_us = table_.microseconds(dense);
  if (!may_be_blocks(shape)) return dense_us;
  TimedNode blocks = dense;
  blocks.layout = runtime::Layout::kBlocks;
  blocks.density = share_of_blocks(shape, values);
  return std::min(dense_us, table_.microseconds(blocks));
}

}  // namespace coppice
