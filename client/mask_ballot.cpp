#include "client/mask_ballot.h"

#include <algorithm>  // for all_of
#include <cmath>      // for isfinite

#include "algorithms/regrowth.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

Mask mask_of(const Mask& mask, const ParameterSpec& spec) {
  Mask out(spec.size(), false);
  for (std::int64_t i = 0; i < spec.size(); ++i) out.set(i, mask.keeps(spec.offset + i));
  return out;
}

const ParameterSpec& spec_of(const Graph& graph, const RegrowLayer& layer) {
  const int index = graph.parameter_named(layer.parameter);
  if (index < 0) throw ConfigError(text("mask ballot: no parameter '", layer.parameter, "'"));
  return graph.parameters()[static_cast<std::size_t>(index)];
}

std::span<const float> part_of(std::span<const float> values, const ParameterSpec& spec) {
  return values.subspan(static_cast<std::size_t>(spec.offset),
                        static_cast<std::size_t>(spec.size()));
}

}  // namespace

void check_request(const Graph& graph, const Mask* mask, const RegrowRequest& request) {
  if (mask == nullptr || mask->size() != graph.parameter_count())
    throw ConfigError(text("mask ballot: expected a mask of ", graph.parameter_count(),
                           " parameters, got ", mask == nullptr ? 0 : mask->size()));
  for (const RegrowLayer& layer : request.layers) {
    const ParameterSpec& spec = spec_of(graph, layer);
    const std::int64_t kept = mask_of(*mask, spec).kept();
    if (layer.weights != spec.size() || layer.kept < 0 || layer.kept > kept || layer.grown < 0 ||
        layer.grown > spec.size() - kept)
      throw ConfigError(text("mask ballot: ", layer.parameter, ": asked to keep ", layer.kept,
                             " and grow ", layer.grown, " of ", layer.weights,
                             " weights; there are ", spec.size(), ", the mask keeps ", kept));
  }
}

std::vector<float> mask_ballot(Executor& executor, const ModelView& trained,
                               const SampleSource& source, const RegrowRequest& request,
                               const SensingDraw& draw) {
  const Graph& graph = executor.graph();
  check_request(graph, trained.mask, request);
  const std::vector<float> gradient =
      mean_gradient(executor, trained, source, request.batches, request.half_batch, draw);
  if (!std::ranges::all_of(gradient, [](float g) { return std::isfinite(g); })) return {};
  std::vector<float> ballot;
  for (const RegrowLayer& layer : request.layers) {
    const ParameterSpec& spec = spec_of(graph, layer);
    const std::vector<float> votes =
        layer_ballot(mask_of(*trained.mask, spec), part_of(trained.parameters, spec),
                     part_of(gradient, spec), layer.kept, layer.grown);
    ballot.insert(ballot.end(), votes.begin(), votes.end());
  }
  return ballot;
}

}  // namespace coppice
