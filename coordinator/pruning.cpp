#include "coordinator/pruning.h"

#include <utility>  // for move
#include <vector>   // for vector

#include "algorithms/strategy.h"
#include "core/coupling.h"

namespace coppice {

std::optional<BallotRequest> ballot_request(const ServerState& state, const PruneConfig& prune,
                                            std::int64_t most) {
  if (state.graph.parameter_count() <= most) return std::nullopt;
  const Coupling coupling = couple(state.graph);
  std::vector<std::int64_t> counts = keep_counts(state.graph, coupling, most, prune.multiple);
  bool is_smaller = false;
  for (std::size_t g = 0; g < counts.size(); ++g) {
    is_smaller =
        is_smaller || counts[g] < static_cast<std::int64_t>(coupling.groups[g].units.size());
  }
  if (!is_smaller) return std::nullopt;
  return BallotRequest{.pruner = prune.pruner,
                       .keep_counts = std::move(counts),
                       .batches = prune.batches,
                       .half_batch = prune.half_batch,
                       .grid = {1, 0}};
}

void remove_units(ServerState& state, const Coupling& coupling,
                  std::span<const std::uint8_t> keep) {
  Shrunk shrunk = shrink(state.graph, coupling, keep);
  state.parameters = shrunk.map.gather(state.parameters);
  if (state.mask.size() > 0) state.mask = shrunk.map.gather_mask(state.mask);
  shrink_state(state.strategy_state, shrunk.map);
  shrink_transport(state.transport, shrunk.map);
  if (!state.averaged.empty()) state.averaged = shrunk.map.gather(state.averaged);
  state.graph = std::move(shrunk.graph);
}

void shrink_model(ServerState& state, const BallotRequest& request, const ExactSum& ballots) {
  const Coupling coupling = couple(state.graph);
  const std::vector<double> scores = unit_magnitudes(state.graph, coupling, state.parameters);
  const std::vector<std::uint8_t> keep =
      count_votes(coupling, ballots.units(), scores, request.keep_counts);
  remove_units(state, coupling, keep);
  ++state.mask_epoch;
}

}  // namespace coppice
