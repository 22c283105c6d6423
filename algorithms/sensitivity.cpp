#include "algorithms/sensitivity.h"

#include <algorithm>  // for nth_element
#include <cmath>      // for abs, ceil
#include <numeric>    // for iota

#include "algorithms/quantize.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

std::vector<float> keep_largest(std::span<const float> weights, const WeightCandidate& candidate) {
  std::vector<float> kept(weights.begin(), weights.end());
  const auto count =
      static_cast<std::size_t>(std::ceil(candidate.density * static_cast<double>(weights.size())));
  if (count >= weights.size()) return kept;
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                   [&](std::size_t a, std::size_t b) {
                     const float left = std::abs(weights[a]);
                     const float right = std::abs(weights[b]);
                     return left != right ? left > right : a < b;
                   });
  for (std::size_t i = count; i < order.size(); ++i) kept[order[i]] = 0.0F;
  return kept;
}

CandidateErrors::CandidateErrors(const Graph& graph, std::span<const float> parameters,
                                 const SenseRequest& request) {
  for (const std::string& name : request.parameters) {
    const int index = graph.parameter_named(name);
    if (index < 0) throw ConfigError(text("sensitivities: no parameter '", name, "'"));
    const ParameterSpec& spec = graph.parameters()[static_cast<std::size_t>(index)];
    const auto offset = static_cast<std::size_t>(spec.offset);
    const auto weights = parameters.subspan(offset, static_cast<std::size_t>(spec.size()));
    for (const WeightCandidate& candidate : request.candidates) {
      std::vector<float> stored = keep_largest(weights, candidate);
      if (candidate.bits != 32) fake_quantize(stored, weight_quant(spec, stored, candidate.bits));
      for (std::size_t i = 0; i < stored.size(); ++i) {
        const float error = stored[i] - weights[i];
        stored[i] = error * error;
      }
      cells_.push_back({offset, std::move(stored)});
    }
  }
}

std::vector<float> CandidateErrors::table(std::span<const float> curvature) const {
  std::vector<float> out;
  out.reserve(cells_.size());
  for (const Cell& cell : cells_) {
    double sum = 0.0;
    for (std::size_t i = 0; i < cell.squares.size(); ++i)
      sum += double{cell.squares[i]} * double{curvature[cell.offset + i]};
    out.push_back(static_cast<float>(0.5 * sum));
  }
  return out;
}

void accumulate_curvature(std::span<const float> first, std::span<const float> second,
                          std::int64_t half_batch, std::span<float> out) {
  const auto factor = static_cast<float>(half_batch) / 2.0F;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float difference = first[i] - second[i];
    out[i] += factor * difference * difference;
  }
}

}  // namespace coppice
