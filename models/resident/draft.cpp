#include "models/resident/draft.h"

#include <utility>  // for move

#include "models/frozen.h"
#include "models/resident/step.h"

namespace coppice::resident {
namespace {

std::vector<int> reader_counts(const Graph& graph) {
  std::vector<int> readers(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    for (const int input : node.inputs) ++readers[static_cast<std::size_t>(input)];
  }
  return readers;
}

}  // namespace

// All steps over images must be able to, and there has to be one that gains.
bool has_channels_innermost(const Graph& graph, std::int64_t lanes) {
  const std::vector<Node>& nodes = graph.nodes();
  std::vector<bool> is_data(nodes.size());  // samples, perhaps normalized
  bool has_convolution = false;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const bool reads_data =
        node.inputs.empty() || is_data[static_cast<std::size_t>(node.inputs[0])];
    is_data[i] = reads_data && (node.op == OpKind::input || node.op == OpKind::normalize);
    has_convolution = has_convolution || node.op == OpKind::conv2d;
    const bool is_image = node.shape.size() == 3 || node.op == OpKind::global_avg_pool;
    if (is_image && !can_have_channels_innermost(graph, node, reads_data, lanes)) return false;
  }
  return has_convolution && nodes.back().op != OpKind::global_avg_pool;
}

Draft::Draft(const Graph& graph, std::int64_t lanes, const PlanOptions& options)
    : graph_(graph),
      lanes_(lanes),
      options_(options),
      frozen_nodes_(frozen_part(graph, options.memory.freeze_first).nodes),
      readers_(reader_counts(graph)) {
  const std::vector<Node>& nodes = graph_.nodes();
  const bool turns_images = !options.keeps_every_node && has_channels_innermost(graph_, lanes);
  slot_of_node_.resize(nodes.size());
  step_of_node_.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const bool is_image = nodes[i].shape.size() == 3 || nodes[i].op == OpKind::global_avg_pool;
    add_node(i, turns_images && is_image);
    if (const std::optional<NodeGrid> grid = grid_of(i)) add_grid(i, *grid);
  }
}

std::optional<NodeGrid> Draft::grid_of(std::size_t node) const {
  return options_.quant == nullptr ? std::nullopt : options_.quant->grid(node);
}

// A ReLU that the step before it does.
bool Draft::is_fused(std::size_t node) const {
  const Node& relu = graph_.nodes()[node];
  if (options_.keeps_every_node || relu.op != OpKind::relu) return false;
  const auto before = static_cast<std::size_t>(relu.inputs[0]);
  return can_have_relu(graph_.nodes()[before].op) && readers_[before] == 1 && !grid_of(before);
}

// A max pool whose input nobody else reads and a convolution, perhaps with its ReLU, makes.
bool Draft::is_pooled(std::size_t node) const {
  const Node& pool = graph_.nodes()[node];
  if (pool.op != OpKind::max_pool2d) return false;
  const auto before = static_cast<std::size_t>(pool.inputs[0]);
  const StepDraft& step = steps_[slots_[slot_of_node_[before]].first_step];
  const bool is_whole = step.node == before || is_fused(before);
  return is_whole && readers_[before] == 1 && !grid_of(before) && !step.grid &&
         can_have_pool(graph_, graph_.nodes()[step.node], pool, lanes_);
}

std::size_t Draft::add_slot(std::int64_t elements, bool has_channels_innermost) {
  slots_.push_back({.elements = elements,
                    .has_channels_innermost = has_channels_innermost,
                    .first_step = steps_.size(),
                    .last_step = steps_.size()});
  return slots_.size() - 1;
}

void Draft::add_step(StepDraft step, bool trains) {
  for (const std::size_t slot : step.inputs) {
    slots_[slot].last_step = steps_.size();
    trains = trains || slots_[slot].has_gradient;
  }
  slots_[step.output].has_gradient = trains;
  steps_.push_back(std::move(step));
}

// The slot of an input in chunks of lanes, for a node that is no image.
std::size_t Draft::in_lanes(std::size_t node, std::size_t input) {
  const std::size_t before = slot_of_node_[input];
  if (!slots_[before].has_channels_innermost) return before;
  const std::size_t slot = add_slot(slots_[before].elements, false);
  add_step({.node = node,
            .inputs = {before},
            .output = slot,
            .grid = {},
            .image = graph_.nodes()[input].shape},
           false);
  return slot;
}

void Draft::add_node(std::size_t i, bool is_turned) {
  const Node& node = graph_.nodes()[i];
  std::vector<std::size_t> inputs;
  for (const int input : node.inputs) {
    const auto from = static_cast<std::size_t>(input);
    inputs.push_back(is_turned ? slot_of_node_[from] : in_lanes(i, from));
  }
  std::size_t& slot = slot_of_node_[i];
  if (is_fused(i)) {
    slot = inputs[0];
    steps_[step_of_node_[static_cast<std::size_t>(node.inputs[0])]].has_relu = true;
  } else if (is_turned && is_pooled(i)) {
    slot = inputs[0];
    slots_[slot].elements = element_count(node.shape);
    steps_[slots_[slot].first_step].has_pool = true;
  } else if (node.op == OpKind::flatten) {
    slot = inputs[0];
  } else {
    slot = add_slot(element_count(node.shape), is_turned);
    step_of_node_[i] = steps_.size();
    add_step({.node = i, .inputs = std::move(inputs), .output = slot, .grid = {}, .image = {}},
             !node.parameters.empty() && i >= frozen_nodes_);
  }
}

void Draft::add_grid(std::size_t i, const NodeGrid& grid) {
  const std::size_t before = slot_of_node_[i];
  const std::size_t slot = add_slot(slots_[before].elements, slots_[before].has_channels_innermost);
  add_step({.node = i, .inputs = {before}, .output = slot, .grid = grid, .image = {}}, false);
  slot_of_node_[i] = slot;
}

}  // namespace coppice::resident
