#include "models/resident/plan.h"

#include <algorithm>  // for max, min, sort
#include <limits>     // for numeric_limits

#include "core/error.h"
#include "core/text.h"

namespace coppice::resident {
namespace {

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
  const Lifetimes lives = lifetimes(graph, draft, options);
  layout_ = lay_out(graph, draft, lives, kernels.lanes, options.memory.micro_batch);
  arena_ = AlignedBuffer(static_cast<std::size_t>(layout_.floats));
  make_steps(draft, make_tensors(draft, lives), lives);
}

std::vector<Tensor> Plan::make_tensors(const Draft& draft, const Lifetimes& lifetimes) {
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < draft.slots().size(); ++i) {
    const Slot& slot = draft.slots()[i];
    const SlotPlaces& places = layout_.slots[i];
    tensors.push_back({.values = arena_.data() + places.values,
                       .gradient = places.gradient < 0 ? nullptr : arena_.data() + places.gradient,
                       .elements = slot.elements,
                       .has_channels_innermost = slot.has_channels_innermost});
    const StepDraft& writer = draft.steps()[slot.first_step];
    if (writer.has_relu) tensors.back().signs = words_at(layout_.bits[slot.first_step]);
    if (places.codes < 0) continue;
    const Window& codes = *lifetimes.slots[i].codes;
    coded_.push_back({.tensor = tensors.back(),
                      .slot = slot,
                      .codes = arena_.data() + places.codes,
                      .made_after = codes.first,
                      .read_before = 2 * draft.steps().size() - codes.last});
  }
  for (const std::size_t slot : draft.slot_of_node()) tensor_of_node_.push_back(tensors[slot]);
  return tensors;
}

StepInputs Plan::inputs_of(const Draft& draft, const std::vector<Tensor>& tensors,
                           std::size_t s) const {
  const StepDraft& step = draft.steps()[s];
  StepInputs inputs{.graph = graph_,
                    .node = graph_.nodes()[step.node],
                    .inputs = {},
                    .output = tensors[step.output],
                    .has_relu = step.has_relu,
                    .has_pool = step.has_pool,
                    .reads_rows = !step.inputs.empty() &&
                                  step.inputs[0] == draft.steps().front().output &&
                                  !tensors[step.inputs[0]].has_channels_innermost,
                    .bits = step.has_relu ? nullptr : words_at(layout_.bits[s]),
                    .kernels = &kernels_,
                    .lanes = kernels_.lanes,
                    .scratch = scratch_.get()};
  for (const std::size_t input : step.inputs) inputs.inputs.push_back({tensors[input], false});
  return inputs;
}

void Plan::make_steps(const Draft& draft, const std::vector<Tensor>& tensors,
                      const Lifetimes& lifetimes) {
  const std::vector<std::vector<bool>> accumulates = accumulations(draft);
  std::int64_t dropouts = 0;
  for (const Node& node : graph_.nodes()) dropouts += node.op == OpKind::dropout ? 1 : 0;
  std::int64_t dropout = 0;
  for (std::size_t s = 0; s < draft.steps().size(); ++s) {
    const StepDraft& step = draft.steps()[s];
    StepInputs inputs = inputs_of(draft, tensors, s);
    inputs.dropout_ordinal = dropout;
    inputs.dropout_count = dropouts;
    const bool is_pooled = lifetimes.steps[s].is_pooled;
    PlanStep made{.step = nullptr,
                  .node = step.node,
                  .suffix = step.image  ? " to lanes"
                            : step.grid ? " grid"
                                        : "",
                  .trains = inputs.output.gradient != nullptr,
                  .has_channels_innermost = inputs.output.has_channels_innermost,
                  .signs = inputs.output.signs != nullptr && !is_pooled ? inputs.output : Tensor{}};
    for (std::size_t i = 0; i < inputs.inputs.size(); ++i) {
      inputs.inputs[i].accumulates = accumulates[s][i];
      if (inputs.inputs[i].tensor.gradient != nullptr) made.writes_input_gradient = true;
    }
    if (step.image) {
      made.step = make_to_lanes_step(inputs, *step.image);
    } else if (step.grid) {
      made.step = make_grid_step(inputs, *step.grid);
    } else if (is_pooled) {
      made.step = make_pooled_convolution_step(inputs, inputs_of(draft, tensors, s + 1),
                                               layout_.block_chunks);
    } else if (s > 0 && lifetimes.steps[s - 1].is_pooled) {
      made.step = make_done_step();
    } else {
      if (inputs.node.op == OpKind::dropout) ++dropout;
      made.step = make_step(inputs);
    }
    if (const ParameterRange part = made.step->early_part(); made.trains && part.end > part.begin)
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

std::int64_t Plan::arena_bytes() const {
  return static_cast<std::int64_t>(arena_.size() * sizeof(float));
}

StepMemory Plan::step_memory(std::int64_t samples) const {
  StepMemory all;
  for (const PlanStep& step : steps_) {
    const StepMemory one = step.step->memory(std::min(samples, block_samples()));
    all.held_bytes += one.held_bytes;
    all.scratch_floats = std::max(all.scratch_floats, one.scratch_floats);
  }
  return all;
}

std::uint32_t* Plan::words_at(std::int64_t offset) const {
  // The plan's own memory, which steps write through what they are made of.
  auto* arena = const_cast<float*>(arena_.data());
  return offset < 0 ? nullptr : reinterpret_cast<std::uint32_t*>(arena + offset);
}

template <typename Visit>
void Plan::each_group(const Coded& coded, const Block& block, const Visit& visit) const {
  const CodeGroups groups = code_groups(coded.slot, kernels_.lanes, block.chunks, block.samples);
  for (std::int64_t group = 0; group < groups.count; ++group) {
    float* at = coded.codes + group * groups.floats(kernels_.lanes);
    visit(coded.tensor.values + group * groups.registers * kernels_.lanes, groups.registers,
          reinterpret_cast<std::uint32_t*>(at), at + groups.word_registers() * kernels_.lanes);
  }
}

// What the backward pass will read of values that are gone by then.
void Plan::keep(std::size_t step, const Block& block) const {
  const Tensor& output = steps_[step].signs;
  if (output.signs != nullptr) {
    kernels_.pack_between(output.values, block.registers(output), 0.0F,
                          std::numeric_limits<float>::infinity(), output.signs);
  }
  for (const Coded& coded : coded_) {
    if (coded.made_after != step) continue;
    each_group(coded, block,
               [&](float* values, std::int64_t n, std::uint32_t* words, float* bounds) {
                 kernels_.to_codes(values, n, bounds, words);
               });
  }
}

void Plan::restore(std::size_t step, const Block& block) const {
  for (const Coded& coded : coded_) {
    if (coded.read_before != step) continue;
    each_group(coded, block,
               [&](float* values, std::int64_t n, std::uint32_t* words, float* bounds) {
                 kernels_.from_codes(words, bounds, n, values);
               });
  }
}

void Plan::forward(const Block& block) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    steps_[i].step->forward(block);
    if (block.gradient != nullptr) keep(i, block);
  }
}

void Plan::backward(const Block& block) {
  for (std::size_t i = steps_.size(); i-- > 0;) {
    restore(i, block);
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
