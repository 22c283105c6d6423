#include "coordinator/allocation.h"

#include <algorithm>  // for fill, find, max, stable_sort
#include <cmath>      // for abs, pow
#include <span>       // for span
#include <string>     // for string
#include <vector>     // for vector

#include "algorithms/quantize.h"
#include "algorithms/regrowth.h"
#include "algorithms/sensitivity.h"
#include "core/checkpoint.h"
#include "deploy/file_bytes.h"

namespace coppice {
namespace {

constexpr int kTableRangeBits = 12;  // a loss grows by less than 4,096

const ParameterSpec& spec_of(const Graph& graph, const std::string& name) {
  return *std::ranges::find(graph.parameters(), name, &ParameterSpec::name);
}

template <typename Value>
std::span<Value> part_of(std::span<Value> values, const ParameterSpec& spec) {
  return values.subspan(static_cast<std::size_t>(spec.offset),
                        static_cast<std::size_t>(spec.size()));
}

Mask kept_of(const ParameterSpec& spec, std::span<const float> weights,
             const WeightCandidate& candidate) {
  return candidate.block_density < 1.0 ? kept_blocks(spec, weights, candidate.block_density)
                                       : kept_by_magnitude(weights, candidate.density);
}

std::vector<float> masked(std::span<const float> weights, const Mask& mask) {
  std::vector<float> kept(weights.begin(), weights.end());
  mask.apply(kept);
  return kept;
}

// Bytes of the file beside the weights' codes: of the model with all those weights zero.
std::int64_t bytes_without_weights(const ServerState& state, const SenseRequest& request) {
  Checkpoint checkpoint;
  checkpoint.graph = state.graph;
  checkpoint.parameters = state.parameters;
  checkpoint.plan = state.plan;
  checkpoint.plan.weights = weight_grids(state.graph, state.parameters, 8);
  for (const std::string& name : request.parameters) {
    const auto weights = part_of<float>(checkpoint.parameters, spec_of(state.graph, name));
    std::fill(weights.begin(), weights.end(), 0.0F);
  }
  if (checkpoint.plan.activations.empty()) {
    // Their grids take as many bytes whatever they are.
    for (const std::string& node : quantized_nodes(state.graph))
      checkpoint.plan.activations.push_back({.node = node, .scale = 1.0F / 32.0F, .zero_point = 0});
  }
  return file_bytes(checkpoint).file;
}

// Weights whose codes are not zero, by rising magnitude (ties: the lower index).
std::vector<std::int64_t> smallest_first(const ServerState& state) {
  std::vector<std::int64_t> order;
  for (const WeightQuant& quant : state.plan.weights) {
    const ParameterSpec& spec = spec_of(state.graph, quant.parameter);
    const std::vector<std::int8_t> codes =
        weight_codes(part_of<const float>(state.parameters, spec), quant);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (codes[i] != 0) order.push_back(spec.offset + static_cast<std::int64_t>(i));
    }
  }
  std::ranges::stable_sort(order, {}, [&](std::int64_t index) {
    return std::abs(state.parameters[static_cast<std::size_t>(index)]);
  });
  return order;
}

std::vector<AllocatedTensor> tensors_of(const ServerState& state, const SenseRequest& request) {
  std::vector<AllocatedTensor> out;
  for (const std::string& name : request.parameters) {
    const ParameterSpec& spec = spec_of(state.graph, name);
    out.push_back({name, part_of<const float>(state.parameters, spec), spec.shape});
  }
  return out;
}

std::vector<LayerCandidates> costs_of(const SenseRequest& request, const ExactSum& table,
                                      const ByteCount& bytes) {
  std::vector<float> losses(static_cast<std::size_t>(table.size()));
  table.mean(losses);
  std::vector<LayerCandidates> out;
  for (std::size_t p = 0; p < request.parameters.size(); ++p) {
    LayerCandidates& layer = out.emplace_back();
    for (std::size_t c = 0; c < request.candidates.size(); ++c)
      layer.push_back({.loss = losses[p * request.candidates.size() + c],
                       .bytes = bytes(p, request.candidates[c])});
  }
  return out;
}

std::int64_t largest_bytes(std::span<const LayerCandidates> costs) {
  std::int64_t out = 0;
  for (const LayerCandidates& layer : costs)
    out += std::ranges::max(layer, {}, &Candidate::bytes).bytes;
  return out;
}

// Masks what the allotment does not keep; what was masked before stays so.
void take(ServerState& state, const SenseRequest& request, const Allotment& allotment) {
  if (state.mask.size() == 0) state.mask = Mask(state.graph.parameter_count());
  state.weight_bits.clear();
  for (std::size_t p = 0; p < request.parameters.size(); ++p) {
    const ParameterSpec& spec = spec_of(state.graph, request.parameters[p]);
    const WeightCandidate& chosen = allotment.candidates[p];
    const Mask kept = kept_of(spec, part_of<const float>(state.parameters, spec), chosen);
    for (std::int64_t i = 0; i < kept.size(); ++i) {
      const bool was_kept = state.mask.keeps(spec.offset + i);
      state.mask.set(spec.offset + i, was_kept && kept.keeps(i));
    }
    state.weight_bits.push_back(chosen.bits);
  }
  state.mask.apply(state.parameters);
  ++state.mask_epoch;
}

}  // namespace

SenseRequest sense_request(const ServerState& state, const CompressConfig& compress,
                           std::int64_t max_weight) {
  SenseRequest request;
  request.parameters = quantized_parameters(state.graph);
  const AllocateConfig& allocate = compress.allocate;
  for (const double density : allocate.densities) {
    for (const std::int64_t bits : allocate.bits) {
      const bool is_narrowed = compress.quantize.reduce_range && bits == 8;
      request.candidates.push_back(
          {.density = density, .bits = is_narrowed ? 7 : static_cast<int>(bits)});
    }
  }
  request.batches = allocate.batches;
  request.half_batch = allocate.half_batch;
  request.grid = grid_for(kTableRangeBits, max_weight);
  return request;
}

AllocationTarget allocation_target(const CompressConfig& compress, std::int64_t choices) {
  if (regrow_method(compress.allocate.allocator))  // the mask changes, not how much it keeps
    return {.max_bytes = compress.constraints.max_bytes.value(), .slack = 0.0};
  const double left =
      1.0 - static_cast<double>(choices) / static_cast<double>(compress.allocate.steps);
  return {.max_bytes = compress.constraints.max_bytes.value(), .slack = std::pow(left, 3)};
}

Allotment allocate_weights(ServerState& state, const Allocator& allocator,
                           const SenseRequest& request, const ExactSum& table,
                           const AllocationTarget& target) {
  const std::vector<AllocatedTensor> tensors = tensors_of(state, request);
  const ByteCount bytes = [&](std::size_t index, const WeightCandidate& candidate) {
    const ParameterSpec& spec = spec_of(state.graph, tensors[index].name);
    const std::span<const float> weights = tensors[index].weights;
    const std::vector<float> kept = masked(weights, kept_of(spec, weights, candidate));
    return coded_bytes(kept, spec.shape, weight_quant(spec, kept, candidate.bits));
  };
  const std::vector<LayerCandidates> costs = costs_of(request, table, bytes);
  const std::int64_t room = target.max_bytes - bytes_without_weights(state, request);
  const auto slack = static_cast<std::int64_t>(
      target.slack * static_cast<double>(std::max<std::int64_t>(0, largest_bytes(costs) - room)));
  Allotment allotment = allocator.allot({.tensors = tensors,
                                         .candidates = request.candidates,
                                         .costs = costs,
                                         .max_bytes = std::max<std::int64_t>(0, room + slack),
                                         .bytes = bytes});
  take(state, request, allotment);
  return allotment;
}

void fit_file(ServerState& state, std::int64_t max_bytes) {
  if (state.mask.size() == 0 || state.plan.is_empty()) return;
  if (file_bytes(to_checkpoint(state, 0)).file <= max_bytes) return;
  const std::vector<std::int64_t> order = smallest_first(state);
  const auto without = [&](std::size_t count) {
    ServerState smaller = state;
    for (std::size_t i = 0; i < count; ++i) smaller.mask.set(order[i], false);
    smaller.mask.apply(smaller.parameters);
    smaller.plan.weights = weight_grids(smaller.graph, smaller.parameters, smaller.weight_bits);
    return smaller;
  };
  // The fewest, as if the file became smaller with each of them; whatever is found was counted.
  std::size_t too_few = 0;
  std::size_t enough = order.size();
  while (enough - too_few > 1) {
    const std::size_t middle = too_few + (enough - too_few) / 2;
    const bool fits = file_bytes(to_checkpoint(without(middle), 0)).file <= max_bytes;
    (fits ? enough : too_few) = middle;
  }
  state = without(enough);
  ++state.mask_epoch;
}

}  // namespace coppice
