#include "coordinator/storage_costs.h"

#include <algorithm>  // for any_of, fill, find
#include <iterator>   // for ssize
#include <string>     // for string
#include <utility>    // for move

#include "algorithms/block_axes.h"
#include "algorithms/quantize.h"
#include "core/checkpoint.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/file_bytes.h"

namespace coppice {
namespace {

bool is_narrower(const WeightCandidate& candidate) { return candidate.channels < 1.0; }

// Bytes of the file beside the weights' codes: of the model with all those weights zero.
std::int64_t bytes_without_weights(const ServerState& state, const SenseRequest& request,
                                   const LatencyTable* latencies) {
  Checkpoint checkpoint;
  checkpoint.graph = state.graph;
  checkpoint.parameters = state.parameters;
  checkpoint.plan = state.plan;
  checkpoint.plan.weights = weight_grids(state.graph, state.parameters, 8);
  for (const std::string& name : request.parameters) {
    const auto weights = part_of<float>(checkpoint.parameters, blocked_spec(state.graph, name));
    std::fill(weights.begin(), weights.end(), 0.0F);
  }
  add_activation_grids(checkpoint);
  return file_bytes(checkpoint, latencies).file;
}

}  // namespace

ParameterSpec blocked_spec(const Graph& graph, const std::string& name) {
  return with_block_axes(graph, *std::ranges::find(graph.parameters(), name, &ParameterSpec::name));
}

void add_activation_grids(Checkpoint& checkpoint) {
  if (!checkpoint.plan.activations.empty()) return;
  for (const std::string& node : quantized_nodes(checkpoint.graph))
    checkpoint.plan.activations.push_back({.node = node, .scale = 1.0F / 32.0F, .zero_point = 0});
}

StorageCosts::StorageCosts(const ServerState& state, const SenseRequest& request,
                           const LatencyTable* latencies)
    : request_(request), other_bytes_(bytes_without_weights(state, request, latencies)) {
  if (std::ranges::any_of(request.candidates, is_narrower))
    widths_ = ChannelWidths(state.graph, state.parameters);
  for (const std::string& name : request.parameters) {
    specs_.push_back(blocked_spec(state.graph, name));
    tensors_.push_back({name, part_of(std::span<const float>(state.parameters), specs_.back()),
                        specs_.back().shape});
    std::vector<WeightCandidate>& own = candidates_.emplace_back();
    for (const WeightCandidate& candidate : request.candidates) {
      if (!is_narrower(candidate) || widths_.kept(name, candidate.channels))
        own.push_back(candidate);
    }
  }
  if (latencies != nullptr) times_.emplace(state.graph, request.parameters, *latencies);
}

Budget StorageCosts::others() const {
  Budget out{.bytes = other_bytes_, .microseconds = times_ ? times_->other_microseconds() : 0.0};
  if (!times_ || widths_.is_empty()) return out;
  for (std::size_t t = 0; t < specs_.size(); ++t) {
    if (widths_.has(tensors_[t].name))
      *out.microseconds -= times_->follower_microseconds(t, specs_[t].shape.front());
  }
  return out;
}

// Of a layer whose width is open: with what depends on its width alone.
double StorageCosts::own_microseconds(std::size_t index, std::span<const float> values,
                                      int bits) const {
  const double own = times_->microseconds(index, values, bits);
  if (!widths_.has(tensors_[index].name)) return own;
  const std::int64_t row = specs_[index].size() / specs_[index].shape.front();
  return own + times_->follower_microseconds(index, std::ssize(values) / row);
}

Candidate StorageCosts::of(std::size_t index, const WeightCandidate& candidate) const {
  const KeptWeights kept = this->kept(index, candidate);
  const std::vector<float> values = stored(index, kept);
  Candidate out{.bytes = coded_bytes(values, kept.parameter.shape,
                                     weight_quant(kept.parameter, values, candidate.bits))};
  if (times_) out.microseconds = own_microseconds(index, values, candidate.bits);
  return out;
}

std::int64_t StorageCosts::bytes(std::size_t index, const WeightCandidate& candidate) const {
  const KeptWeights kept = this->kept(index, candidate);
  const std::vector<float> values = stored(index, kept);
  return coded_bytes(values, kept.parameter.shape,
                     weight_quant(kept.parameter, values, candidate.bits));
}

Mask StorageCosts::mask(std::size_t index, const WeightCandidate& candidate) const {
  const KeptWeights kept = this->kept(index, candidate);
  Mask out(specs_[index].size(), false);
  const std::int64_t row = specs_[index].size() / specs_[index].shape.front();
  for (std::int64_t i = 0; i < kept.mask.size(); ++i) {
    const std::int64_t channel = kept.channels[static_cast<std::size_t>(i / row)];
    if (kept.mask.keeps(i)) out.set(channel * row + i % row, true);
  }
  return out;
}

std::vector<LayerCandidates> StorageCosts::all(const ExactSum& table) const {
  std::vector<float> losses(static_cast<std::size_t>(table.size()));
  table.mean(losses);
  std::vector<LayerCandidates> out;
  for (std::size_t t = 0; t < specs_.size(); ++t) {
    LayerCandidates& layer = out.emplace_back();
    for (std::size_t c = 0; c < request_.candidates.size(); ++c) {
      // Those of the tensor are in the request's order.
      const bool is_own = layer.size() < candidates_[t].size() &&
                          request_.candidates[c] == candidates_[t][layer.size()];
      if (!is_own) continue;
      layer.push_back(of(t, request_.candidates[c]));
      layer.back().loss = losses[t * request_.candidates.size() + c];
    }
  }
  return out;
}

KeptWeights StorageCosts::kept(std::size_t index, const WeightCandidate& candidate) const {
  std::optional<KeptWeights> out =
      kept_weights(specs_[index], tensors_[index].weights, candidate, widths_);
  if (!out) {
    throw ConfigError(text("allocation: '", tensors_[index].name, "' cannot keep ",
                           candidate.channels, " of its output channels by itself"));
  }
  return std::move(*out);
}

std::vector<float> StorageCosts::stored(std::size_t index, const KeptWeights& kept) const {
  std::vector<float> out = narrowed(specs_[index], tensors_[index].weights, kept.channels);
  kept.mask.apply(out);
  return out;
}

}  // namespace coppice
