#pragma once
// What each way to store each layer costs, and what the rest of the model takes whatever is chosen.
// Immutable; used by one thread.

#include <cstddef>   // for size_t
#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "algorithms/allocator.h"
#include "algorithms/channel_widths.h"
#include "algorithms/sensitivity.h"
#include "coordinator/server_state.h"
#include "core/exact_sum.h"
#include "core/task.h"
#include "deploy/latency_of_weights.h"

namespace coppice {

// The parameter of that name with the axes of its blocks: of the same size and elements.
ParameterSpec blocked_spec(const Graph& graph, const std::string& name);

// The part of an arena that holds a parameter.
template <typename Value>
std::span<Value> part_of(std::span<Value> values, const ParameterSpec& spec) {
  return values.subspan(static_cast<std::size_t>(spec.offset),
                        static_cast<std::size_t>(spec.size()));
}

// Where there are none yet: they take as many bytes whatever they are.
void add_activation_grids(Checkpoint& checkpoint);

// A layer that becomes narrower is counted by itself: its weights' codes are exactly those of the
// file, and its time is with that of the norms and activations behind it; but scale, bias and norm
// of a channel that goes and the inputs of the layers that read it are counted as if it stayed. So
// a choice of widths takes less than is counted here.
class StorageCosts {
 public:
  // All must outlive this, with their values; `latencies` may be null.
  StorageCosts(const ServerState& state, const SenseRequest& request,
               const LatencyTable* latencies);

  std::span<const AllocatedTensor> tensors() const { return tensors_; }
  // Of each tensor those of the request's candidates that it can have, in their order.
  std::span<const std::vector<WeightCandidate>> candidates() const { return candidates_; }
  const ChannelWidths& widths() const { return widths_; }

  // Bytes and, with a latency table, microseconds of what is counted with none of the tensors.
  Budget others() const;
  bool has_times() const { return times_.has_value(); }

  // Of tensor `index`. Throws ConfigError for a width that it cannot have.
  Candidate of(std::size_t index, const WeightCandidate& candidate) const;
  std::int64_t bytes(std::size_t index, const WeightCandidate& candidate) const;
  // What the candidate keeps, as a mask of the tensor; channels that go are masked. Throws as of().
  Mask mask(std::size_t index, const WeightCandidate& candidate) const;

  // Of candidates(), with the losses of the clients' table, which has an entry for each tensor and
  // candidate of the request.
  std::vector<LayerCandidates> all(const ExactSum& table) const;

 private:
  double own_microseconds(std::size_t index, std::span<const float> values, int bits) const;
  KeptWeights kept(std::size_t index, const WeightCandidate& candidate) const;
  // What is stored of the channels that stay; the others are zeros.
  std::vector<float> stored(std::size_t index, const KeptWeights& kept) const;

  const SenseRequest& request_;
  std::int64_t other_bytes_ = 0;
  ChannelWidths widths_;
  std::vector<ParameterSpec> specs_;
  std::vector<AllocatedTensor> tensors_;
  std::vector<std::vector<WeightCandidate>> candidates_;
  std::optional<WeightTimes> times_;
};

}  // namespace coppice
