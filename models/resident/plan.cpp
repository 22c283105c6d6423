#include "models/resident/plan.h"

#include <algorithm>  // for clamp, max, min, sort
#include <optional>   // for optional

#include "core/error.h"
#include "core/text.h"

namespace coppice::resident {
namespace {

// Several chunks share each weight that is loaded; beyond this a block's values crowd each other
// out of the last cache.
constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20U;
constexpr std::int64_t kMostChunks = 4;

std::vector<int> reader_counts(const Graph& graph) {
  std::vector<int> readers(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    for (const int input : node.inputs) ++readers[static_cast<std::size_t>(input)];
  }
  return readers;
}

// Whether images have their channels innermost: all steps over them must be able to, and there has
// to be one that gains.
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

struct Interval {
  std::int64_t offset;
  std::int64_t size;
  std::size_t first;
  std::size_t last;
};

// The lowest offset at which `size` floats are free from `first` to `last`.
std::int64_t place(const std::vector<Interval>& placed, std::int64_t size, std::size_t first,
                   std::size_t last) {
  std::int64_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Interval& other : placed) {
      const bool same_time = other.first <= last && first <= other.last;
      if (!same_time || other.offset + other.size <= offset || offset + size <= other.offset)
        continue;
      offset = other.offset + other.size;
      moved = true;
    }
  }
  return offset;
}

}  // namespace

std::string unsupported(const Graph& graph) {
  if (graph.nodes().empty()) return "empty graph";
  for (const Node& node : graph.nodes()) {
    if (std::string reason = unsupported(graph, node); !reason.empty()) return reason;
  }
  if (graph.output().shape.size() != 1 || graph.input().labels_per_sample != 1)
    return "several labels a sample";
  return {};
}

// A step before its memory is known.
struct StepDraft {
  std::size_t node;
  std::vector<std::size_t> inputs;  // slots
  std::vector<bool> accumulates;
  std::size_t output;
  bool has_relu = false;
  bool has_pool = false;
  std::optional<NodeGrid> grid;  // the step that puts the node's output on it
  std::optional<Shape> image;    // the step that brings an input of the node's to lanes
};

struct Plan::Draft {
  std::vector<Slot> slots;
  std::vector<StepDraft> steps;
  std::vector<std::size_t> slot_of_node;
  std::vector<std::size_t> step_of_node;

  std::size_t add_slot(std::int64_t elements, bool has_channels_innermost) {
    slots.push_back({.elements = elements,
                     .has_channels_innermost = has_channels_innermost,
                     .first_step = steps.size(),
                     .last_step = steps.size()});
    return slots.size() - 1;
  }
  void add_step(StepDraft step, bool trains) {
    for (const std::size_t slot : step.inputs) {
      slots[slot].last_step = steps.size();
      trains = trains || slots[slot].has_gradient;
    }
    slots[step.output].has_gradient = trains;
    step.accumulates.assign(step.inputs.size(), false);
    steps.push_back(std::move(step));
  }
};

Plan::Plan(const Graph& graph, const kernels::LaneKernels& kernels, const PlanOptions& options)
    : graph_(graph), kernels_(kernels), scratch_(std::make_unique<Scratch>()) {
  if (const std::string reason = unsupported(graph); !reason.empty())
    throw KernelError(text("executor resident cannot run: ", reason));
  Draft made;
  draft(options, made);
  lay_out(made);
  make_steps(made);
}

void Plan::draft(const PlanOptions& options, Draft& draft) const {
  const std::vector<Node>& nodes = graph_.nodes();
  const std::vector<int> readers = reader_counts(graph_);
  const auto grid_of = [&](std::size_t i) -> std::optional<NodeGrid> {
    return options.quant == nullptr ? std::nullopt : options.quant->grid(i);
  };
  const auto is_fused = [&](std::size_t i) {  // a ReLU that the step before it does
    if (options.keeps_every_node || nodes[i].op != OpKind::relu) return false;
    const auto before = static_cast<std::size_t>(nodes[i].inputs[0]);
    return can_have_relu(nodes[before].op) && readers[before] == 1 && !grid_of(before);
  };
  // A max pool whose input nobody else reads and a convolution, perhaps with its ReLU, makes.
  const auto is_pooled = [&](std::size_t i) {
    if (nodes[i].op != OpKind::max_pool2d) return false;
    const auto before = static_cast<std::size_t>(nodes[i].inputs[0]);
    const std::size_t step = draft.slots[draft.slot_of_node[before]].first_step;
    const std::size_t source = draft.steps[step].node;
    const bool is_whole = source == before || is_fused(before);
    return is_whole && readers[before] == 1 && !grid_of(before) && !draft.steps[step].grid &&
           can_have_pool(graph_, nodes[source], nodes[i], kernels_.lanes);
  };
  const bool turns_images =
      !options.keeps_every_node && has_channels_innermost(graph_, kernels_.lanes);
  // The slot of an input in chunks of lanes, for a node that is no image.
  const auto in_lanes = [&](std::size_t node, std::size_t input) {
    const std::size_t before = draft.slot_of_node[input];
    if (!draft.slots[before].has_channels_innermost) return before;
    const std::size_t slot = draft.add_slot(draft.slots[before].elements, false);
    draft.add_step({.node = node,
                    .inputs = {before},
                    .accumulates = {},
                    .output = slot,
                    .grid = {},
                    .image = nodes[input].shape},
                   false);
    return slot;
  };
  draft.slot_of_node.resize(nodes.size());
  draft.step_of_node.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const bool turned =
        turns_images && (node.shape.size() == 3 || node.op == OpKind::global_avg_pool);
    std::vector<std::size_t> inputs;
    for (const int i_input : node.inputs) {
      const auto input = static_cast<std::size_t>(i_input);
      inputs.push_back(turned ? draft.slot_of_node[input] : in_lanes(i, input));
    }
    std::size_t& slot = draft.slot_of_node[i];
    if (is_fused(i)) {
      draft.steps[draft.step_of_node[static_cast<std::size_t>(node.inputs[0])]].has_relu = true;
      slot = inputs[0];
    } else if (turned && is_pooled(i)) {  // by the step before it
      slot = inputs[0];
      draft.slots[slot].elements = element_count(node.shape);
      draft.steps[draft.slots[slot].first_step].has_pool = true;
    } else if (node.op == OpKind::flatten) {
      slot = inputs[0];
    } else {
      slot = draft.add_slot(element_count(node.shape), turned);
      draft.step_of_node[i] = draft.steps.size();
      draft.add_step(
          {.node = i, .inputs = inputs, .accumulates = {}, .output = slot, .grid = {}, .image = {}},
          !node.parameters.empty());
    }
    if (const std::optional<NodeGrid> grid = grid_of(i)) {
      const std::size_t before = slot;
      slot = draft.add_slot(element_count(node.shape), draft.slots[before].has_channels_innermost);
      draft.add_step({.node = i,
                      .inputs = {before},
                      .accumulates = {},
                      .output = slot,
                      .grid = grid,
                      .image = {}},
                     false);
    }
  }
}

// Values live from the forward to the backward pass and have places of their own; a gradient lives
// from its first writer, the last of the readers, to the step that wrote the values.
void Plan::lay_out(Draft& draft) {
  std::vector<bool> is_written(draft.slots.size());
  is_written[draft.slot_of_node.back()] = true;
  for (std::size_t s = draft.steps.size(); s-- > 0;) {
    StepDraft& step = draft.steps[s];
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      step.accumulates[i] = is_written[step.inputs[i]];
      if (draft.slots[step.output].has_gradient) is_written[step.inputs[i]] = true;
    }
  }
  std::int64_t floats = 0;
  for (const Slot& slot : draft.slots) floats += slot.elements * kernels_.lanes;
  const auto chunk_bytes =
      std::max<std::int64_t>(floats * static_cast<std::int64_t>(sizeof(float)), 1);
  block_chunks_ = std::clamp<std::int64_t>(kBlockBytes / chunk_bytes, 1, kMostChunks);
  const std::int64_t values = floats * block_chunks_;
  std::int64_t end = values;
  std::vector<Interval> placed;
  for (std::size_t i = draft.slots.size(); i-- > 0;) {
    Slot& slot = draft.slots[i];
    if (!slot.has_gradient) continue;
    const std::int64_t size = slot.elements * kernels_.lanes * block_chunks_;
    const std::int64_t at = place(placed, size, slot.first_step, slot.last_step);
    placed.push_back({at, size, slot.first_step, slot.last_step});
    slot.gradient_offset = values + at;
    end = std::max(end, slot.gradient_offset + size);
  }
  arena_ = AlignedBuffer(static_cast<std::size_t>(end));
  float* next = arena_.data();
  for (const Slot& slot : draft.slots) {
    tensors_.push_back(
        {.values = next,
         .gradient = slot.has_gradient ? arena_.data() + slot.gradient_offset : nullptr,
         .elements = slot.elements,
         .has_channels_innermost = slot.has_channels_innermost});
    next += slot.elements * kernels_.lanes * block_chunks_;
  }
  tensor_of_node_ = draft.slot_of_node;
}

void Plan::make_steps(const Draft& draft) {
  std::int64_t dropouts = 0;
  for (const Node& node : graph_.nodes()) dropouts += node.op == OpKind::dropout ? 1 : 0;
  std::int64_t dropout = 0;
  for (const StepDraft& step : draft.steps) {
    const Node& node = graph_.nodes()[step.node];
    StepInputs inputs{.graph = graph_,
                      .node = node,
                      .inputs = {},
                      .output = tensors_[step.output],
                      .has_relu = step.has_relu,
                      .has_pool = step.has_pool,
                      .reads_rows = !step.inputs.empty() &&
                                    step.inputs[0] == draft.steps.front().output &&
                                    !tensors_[step.inputs[0]].has_channels_innermost,
                      .lanes = kernels_.lanes,
                      .scratch = scratch_.get(),
                      .dropout_ordinal = dropout,
                      .dropout_count = dropouts};
    PlanStep made{.step = nullptr,
                  .node = step.node,
                  .suffix = step.image  ? " to lanes"
                            : step.grid ? " grid"
                                        : "",
                  .trains = inputs.output.gradient != nullptr,
                  .has_channels_innermost = inputs.output.has_channels_innermost};
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      inputs.inputs.push_back({tensors_[step.inputs[i]], step.accumulates[i]});
      if (inputs.inputs.back().tensor.gradient != nullptr) made.writes_input_gradient = true;
    }
    if (step.image) {
      made.step = make_to_lanes_step(inputs, *step.image);
    } else if (step.grid) {
      made.step = make_grid_step(inputs, *step.grid);
    } else {
      if (node.op == OpKind::dropout) ++dropout;
      made.step = make_step(inputs);
    }
    if (const ParameterRange part = made.step->early_part(); part.end > part.begin)
      early_parts_.push_back(part);
    steps_.push_back(std::move(made));
  }
  std::ranges::sort(early_parts_, {}, &ParameterRange::begin);
}

Block Plan::block(std::span<const float> rows, std::int64_t first, std::int64_t samples) const {
  const std::int64_t n = std::min(block_samples(), samples - first);
  const std::int64_t sample_size = element_count(graph_.input().shape);
  return {.kernels = kernels_,
          .rows = rows.data() + first * sample_size,
          .samples = n,
          .chunks = (n + kernels_.lanes - 1) / kernels_.lanes,
          .first_sample = first};
}

void Plan::forward(const Block& block) {
  for (const PlanStep& step : steps_) step.step->forward(block);
}

void Plan::backward(const Block& block) {
  for (std::size_t i = steps_.size(); i-- > 0;) {
    if (steps_[i].trains) steps_[i].step->backward(block);
  }
}

void Plan::read(std::size_t node, const Block& block, float* rows) const {
  const Tensor& tensor = tensors_[tensor_of_node_[node]];
  for (std::int64_t first = 0; first < block.samples; first += kernels_.lanes) {
    kernels_.to_rows(tensor.values + first * tensor.elements, tensor.elements,
                     std::min(kernels_.lanes, block.samples - first),
                     rows + first * tensor.elements, tensor.elements);
  }
}

void Plan::set_output_gradient(const Block& block, const float* rows) {
  const Tensor& tensor = tensors_[tensor_of_node_.back()];
  for (std::int64_t first = 0; first < block.samples; first += kernels_.lanes) {
    kernels_.from_rows(rows + first * tensor.elements, tensor.elements,
                       std::min(kernels_.lanes, block.samples - first), tensor.elements,
                       tensor.gradient + first * tensor.elements);
  }
}

}  // namespace coppice::resident
