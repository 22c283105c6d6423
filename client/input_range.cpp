#include "client/input_range.h"

#include <algorithm>  // for min
#include <cmath>      // for abs, isfinite
#include <numeric>    // for iota
#include <vector>     // for vector

namespace coppice {
namespace {

constexpr std::int64_t kBlock = 256;  // samples that are read at once

// Values of samples are (x - mean) / deviation when they get their grid.
struct InputGrid {
  const ActivationQuant* grid = nullptr;  // null: none
  double mean = 0.0;
  double deviation = 1.0;
};

InputGrid input_grid(const Graph& graph, const QuantPlan& plan) {
  const std::vector<Node>& nodes = graph.nodes();
  InputGrid out{.grid = plan.activation(nodes.front().name)};
  if (out.grid != nullptr || nodes.size() < 2 || nodes[1].op != OpKind::normalize) return out;
  return {.grid = plan.activation(nodes[1].name),
          .mean = nodes[1].attributes.mean,
          .deviation = nodes[1].attributes.deviation};
}

}  // namespace

RefusalReason hidden_by_grid(const Graph& graph, const QuantPlan& plan,
                             const SampleSource& source) {
  const InputGrid input = input_grid(graph, plan);
  if (input.grid == nullptr) return RefusalReason::kNone;
  const double width = 255.0 * double{input.grid->scale};
  const double middle = width / 2.0 - double{input.grid->scale} * input.grid->zero_point;
  const auto sample_size = static_cast<std::size_t>(element_count(graph.input().shape));
  for (std::int64_t begin = 0; begin < source.size; begin += kBlock) {
    std::vector<std::int64_t> indices(
        static_cast<std::size_t>(std::min(kBlock, source.size - begin)));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<float> samples(indices.size() * sample_size);
    source.samples(indices, samples);
    for (const float value : samples) {
      if (!std::isfinite(value)) return RefusalReason::kNotFinite;
      const double seen = (double{value} - input.mean) / input.deviation;
      if (std::abs(seen - middle) > kWidestInput * width) return RefusalReason::kOutOfRange;
    }
  }
  return RefusalReason::kNone;
}

}  // namespace coppice
