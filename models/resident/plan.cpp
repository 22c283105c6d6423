#include "models/resident/plan.h"

#include <algorithm>  // for clamp, max, min, sort

#include "core/error.h"
#include "core/text.h"

namespace coppice::resident {
namespace {

// Several chunks share each weight that is loaded; beyond this a block's values crowd each other
// out of the last cache.
constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20U;
constexpr std::int64_t kMostChunks = 4;

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

// Who adds to a gradient that an earlier writer, the step of a later reader, has begun.
std::vector<std::vector<bool>> accumulations(const Draft& draft) {
  std::vector<std::vector<bool>> accumulates(draft.steps().size());
  std::vector<bool> is_written(draft.slots().size());
  is_written[draft.slot_of_node().back()] = true;
  for (std::size_t s = draft.steps().size(); s-- > 0;) {
    const StepDraft& step = draft.steps()[s];
    for (const std::size_t input : step.inputs) {
      accumulates[s].push_back(is_written[input]);
      if (draft.slots()[step.output].has_gradient) is_written[input] = true;
    }
  }
  return accumulates;
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

Plan::Plan(const Graph& graph, const kernels::LaneKernels& kernels, const PlanOptions& options)
    : graph_(graph), kernels_(kernels), scratch_(std::make_unique<Scratch>()) {
  if (const std::string reason = unsupported(graph); !reason.empty())
    throw KernelError(text("executor resident cannot run: ", reason));
  const Draft draft(graph, kernels.lanes, options);
  make_steps(draft, lay_out(draft));
}

// Values live from the forward to the backward pass and have places of their own; a gradient lives
// from its first writer, the last of the readers, to the step that wrote the values.
std::vector<Tensor> Plan::lay_out(const Draft& draft) {
  const std::span<const Slot> slots = draft.slots();
  std::int64_t floats = 0;
  for (const Slot& slot : slots) floats += slot.elements * kernels_.lanes;
  const auto chunk_bytes =
      std::max<std::int64_t>(floats * static_cast<std::int64_t>(sizeof(float)), 1);
  block_chunks_ = std::clamp<std::int64_t>(kBlockBytes / chunk_bytes, 1, kMostChunks);
  const auto size_of = [&](const Slot& slot) {
    return slot.elements * kernels_.lanes * block_chunks_;
  };
  const std::int64_t values = floats * block_chunks_;
  std::int64_t end = values;
  std::vector<std::int64_t> gradients(slots.size());
  std::vector<Interval> placed;
  for (std::size_t i = slots.size(); i-- > 0;) {
    const Slot& slot = slots[i];
    if (!slot.has_gradient) continue;
    const std::int64_t at = place(placed, size_of(slot), slot.first_step, slot.last_step);
    placed.push_back({at, size_of(slot), slot.first_step, slot.last_step});
    gradients[i] = values + at;
    end = std::max(end, gradients[i] + size_of(slot));
  }
  arena_ = AlignedBuffer(static_cast<std::size_t>(end));
  std::vector<Tensor> tensors;
  float* next = arena_.data();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    tensors.push_back({.values = next,
                       .gradient = slots[i].has_gradient ? arena_.data() + gradients[i] : nullptr,
                       .elements = slots[i].elements,
                       .has_channels_innermost = slots[i].has_channels_innermost});
    next += size_of(slots[i]);
  }
  for (const std::size_t slot : draft.slot_of_node()) tensor_of_node_.push_back(tensors[slot]);
  return tensors;
}

void Plan::make_steps(const Draft& draft, const std::vector<Tensor>& tensors) {
  const std::vector<std::vector<bool>> accumulates = accumulations(draft);
  std::int64_t dropouts = 0;
  for (const Node& node : graph_.nodes()) dropouts += node.op == OpKind::dropout ? 1 : 0;
  std::int64_t dropout = 0;
  for (std::size_t s = 0; s < draft.steps().size(); ++s) {
    const StepDraft& step = draft.steps()[s];
    const Node& node = graph_.nodes()[step.node];
    StepInputs inputs{.graph = graph_,
                      .node = node,
                      .inputs = {},
                      .output = tensors[step.output],
                      .has_relu = step.has_relu,
                      .has_pool = step.has_pool,
                      .reads_rows = !step.inputs.empty() &&
                                    step.inputs[0] == draft.steps().front().output &&
                                    !tensors[step.inputs[0]].has_channels_innermost,
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
      inputs.inputs.push_back({tensors[step.inputs[i]], accumulates[s][i]});
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
  const Tensor& tensor = tensor_of_node_[node];
  for (std::int64_t first = 0; first < block.samples; first += kernels_.lanes) {
    kernels_.to_rows(tensor.values + first * tensor.elements, tensor.elements,
                     std::min(kernels_.lanes, block.samples - first),
                     rows + first * tensor.elements, tensor.elements);
  }
}

void Plan::set_output_gradient(const Block& block, const float* rows) {
  const Tensor& tensor = tensor_of_node_.back();
  for (std::int64_t first = 0; first < block.samples; first += kernels_.lanes) {
    kernels_.from_rows(rows + first * tensor.elements, tensor.elements,
                       std::min(kernels_.lanes, block.samples - first), tensor.elements,
                       tensor.gradient + first * tensor.elements);
  }
}

}  // namespace coppice::resident
