#include "coordinator/quantization.h"

#include "algorithms/calibration.h"
#include "algorithms/fold.h"
#include "algorithms/quantize.h"

namespace coppice {

void fold_norms(ServerState& state) {
  if (!state.plan.is_empty()) return;
  FoldedModel folded = fold_batch_norm(state.graph, state.parameters);
  if (folded.graph == state.graph) return;
  std::erase_if(state.strategy_state, [&](const auto& buffer) {
    return buffer.second.size() == state.parameters.size();
  });
  state.transport.residuals.clear();
  state.transport.broadcast = {};
  state.graph = std::move(folded.graph);
  state.parameters = std::move(folded.parameters);
}

void set_weight_grids(ServerState& state, const QuantizeConfig& quantize) {
  if (!state.weight_bits.empty()) {
    state.plan.weights = weight_grids(state.graph, state.parameters, state.weight_bits);
    return;
  }
  // An allocator that chose nothing, or all of whose choices were taken back, leaves 8 bits.
  const std::int64_t wanted = quantize.bits == 32 ? 8 : quantize.bits;
  const int bits = wanted == 8 && quantize.reduce_range ? 7 : static_cast<int>(wanted);
  state.plan.weights = weight_grids(state.graph, state.parameters, bits);
}

void set_activation_grids(ServerState& state, std::span<const std::string> nodes,
                          const NamedSums& sums) {
  const ExactSum& histograms = sums.at(kHistogramSum);
  if (histograms.weight() == 0) return;
  state.plan.activations.clear();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto counts = histograms.units().subspan(i * kHistogramBins, kHistogramBins);
    state.plan.activations.push_back(activation_quant(nodes[i], counts));
  }
}

}  // namespace coppice
