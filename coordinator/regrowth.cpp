#include "coordinator/regrowth.h"

#include <optional>  // for optional
#include <span>      // for span
#include <string>    // for string

#include "algorithms/quantize.h"
#include "algorithms/regrowth.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace coppice {
namespace {

RegrowMethod method_of(const AllocateConfig& allocate) {
  const std::optional<RegrowMethod> method = regrow_method(allocate.allocator);
  if (!method)
    throw ConfigError(text("allocator ", allocate.allocator, " does not regrow weights"));
  return *method;
}

const ParameterSpec& spec_of(const Graph& graph, const std::string& name) {
  return graph.parameters()[static_cast<std::size_t>(graph.parameter_named(name))];
}

Mask mask_of(const ServerState& state, const ParameterSpec& spec) {
  Mask out(spec.size(), false);
  for (std::int64_t i = 0; i < spec.size(); ++i) out.set(i, state.mask.keeps(spec.offset + i));
  return out;
}

// Momentum of a weight from before it was masked is not that of the one that comes in its place.
void forget(NamedBuffers& buffers, std::size_t arena_size, std::int64_t index) {
  for (auto& [name, buffer] : buffers) {
    if (buffer.size() == arena_size) buffer[static_cast<std::size_t>(index)] = 0.0F;
  }
}

void take(ServerState& state, const ParameterSpec& spec, const Mask& mask) {
  for (std::int64_t i = 0; i < spec.size(); ++i) {
    const std::int64_t index = spec.offset + i;
    if (mask.keeps(i) == state.mask.keeps(index)) continue;
    state.mask.set(index, mask.keeps(i));
    state.parameters[static_cast<std::size_t>(index)] = 0.0F;
    forget(state.strategy_state, state.parameters.size(), index);
  }
}

// A layer's part of what holds a value for each weight of the request.
template <typename Value>
std::span<Value> part(std::span<Value> values, std::int64_t begin, std::int64_t size) {
  return values.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
}

}  // namespace

void check_regrowth(const CompressConfig& compress) {
  const AllocateConfig& allocate = compress.allocate;
  if (allocate.steps < 2)
    throw ConfigError(text("compress.allocate.steps: ", allocate.allocator,
                           " makes a mask and then moves it; expected at least 2, got ",
                           allocate.steps));
  if (compress.is_gated())
    throw ConfigError(text("compress.gate.recovery_rounds: ", allocate.allocator,
                           " is at its target from the first choice on; expected 0, got ",
                           compress.gate.recovery_rounds));
  if (compress.prune.pruner != "none")
    throw ConfigError(text("compress.prune.pruner: ", allocate.allocator,
                           " moves weights within layers whose channels stay; expected none, got ",
                           compress.prune.pruner));
}

RegrowRequest regrow_request(const ServerState& state, const AllocateConfig& allocate) {
  const double share = regrow_share(allocate.regrow.share.value_or(method_of(allocate).usual_share),
                                    state.choices - 1, allocate.steps - 1);
  RegrowRequest request;
  for (const std::string& name : quantized_parameters(state.graph)) {
    const ParameterSpec& spec = spec_of(state.graph, name);
    const std::int64_t kept = mask_of(state, spec).kept();
    const std::int64_t moved = moved_weights(share, kept, spec.size());
    request.layers.push_back(
        {.parameter = name, .weights = spec.size(), .kept = kept - moved, .grown = moved});
  }
  request.batches = allocate.batches;
  request.half_batch = allocate.half_batch;
  return request;
}

void regrow_weights(ServerState& state, const AllocateConfig& allocate,
                    const RegrowRequest& request, const ExactSum& ballots, std::uint64_t seed,
                    std::int64_t round) {
  const bool is_drawn = method_of(allocate).rule == RegrowRule::kPosterior;
  const auto all = static_cast<std::size_t>(request.weights());
  if (is_drawn && state.mask_posterior.empty()) state.mask_posterior.assign(2 * all, 1.0F);
  const std::span<float> posterior = state.mask_posterior;
  std::int64_t begin = 0;
  for (std::size_t l = 0; l < request.layers.size(); ++l) {
    const RegrowLayer& layer = request.layers[l];
    const ParameterSpec& spec = spec_of(state.graph, layer.parameter);
    const Mask mask = mask_of(state, spec);
    const auto weights = part<const float>(state.parameters, spec.offset, spec.size());
    const auto votes = part(ballots.units(), begin, layer.weights);
    if (!is_drawn) {
      take(state, spec, exchange_by_votes(mask, weights, votes, layer.grown));
    } else {
      const auto alphas = part(posterior.first(all), begin, layer.weights);
      const auto betas = part(posterior.subspan(all), begin, layer.weights);
      join_evidence(mask, weights, votes, ballots.weight(), layer.kept,
                    {.ballots = allocate.regrow.ballots, .evidence = allocate.regrow.evidence},
                    alphas, betas);
      RandomStream stream({seed, Purpose::kRegrowth, static_cast<std::int64_t>(l), round});
      take(state, spec, drawn_mask(alphas, betas, layer.kept + layer.grown, stream));
    }
    begin += layer.weights;
  }
  ++state.mask_epoch;
}

}  // namespace coppice
