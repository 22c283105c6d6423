#include "client/calibration.h"

#include <algorithm>  // for min

#include "algorithms/calibration.h"

namespace coppice {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 24;  // exact as fp32

}  // namespace

Histograms count_activations(Executor& executor, const ModelView& model, const SampleSource& source,
                             std::span<const std::int64_t> indices,
                             std::span<const std::string> nodes) {
  const auto sample_size = static_cast<std::size_t>(element_count(executor.graph().input().shape));
  // Ranges are those of the fp32 model, whatever grids it has already.
  const ModelView unquantized{model.parameters};
  std::vector<std::int64_t> counts(nodes.size() * kHistogramBins);
  Histograms out;
  for (std::size_t begin = 0; begin < indices.size(); begin += kBatch) {
    const auto batch = indices.subspan(begin, std::min(kBatch, indices.size() - begin));
    std::vector<float> samples(batch.size() * sample_size);
    source.samples(batch, samples);
    executor.observe(
        unquantized, samples, nodes, [&](std::size_t node, std::span<const float> values) {
          const auto bins = std::span(counts).subspan(node * kHistogramBins, kHistogramBins);
          if (count_values(values, bins) > 0) out.is_finite = false;
        });
  }
  out.counts.reserve(counts.size());
  for (const std::int64_t count : counts)
    out.counts.push_back(static_cast<float>(std::min(count, kMaxCount)));
  return out;
}

}  // namespace coppice
