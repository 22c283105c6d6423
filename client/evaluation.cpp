#include "client/evaluation.h"

#include <algorithm>  // for min
#include <numeric>    // for iota

namespace coppice {
EvalSums evaluate_share(Executor& executor, std::span<const float> parameters,
                        const Dataset& dataset, const Split& split,
                        std::span<const std::int64_t> indices, const EvalShare& share) {
  const SampleSource source{
      .size = split.size,
      .samples = [&](std::span<const std::int64_t> wanted,
                     std::span<float> out) { gather_samples(dataset, split, wanted, out); },
      .labels = [&](std::span<const std::int64_t> wanted,
                    std::span<std::int32_t> out) { gather_labels(dataset, split, wanted, out); }};
  EvalSums sums;
  const auto total = static_cast<std::int64_t>(indices.size());
  for (std::int64_t batch = share.rank; batch * share.batch_size < total; batch += share.ranks) {
    const std::int64_t begin = batch * share.batch_size;
    const std::int64_t count = std::min(share.batch_size, total - begin);
    const EvalResult result = executor.evaluate(
        {parameters}, source,
        indices.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)));
    sums += EvalSums::of_batch(result.correct, result.labels, result.loss_sum);
  }
  return sums;
}

std::vector<std::int64_t> validation_indices(const Partition& partition) {
  std::vector<std::int64_t> out;
  for (const ClientData& client : partition.clients) {
    out.insert(out.end(), client.validation.begin(), client.validation.end());
  }
  return out;
}

std::vector<std::int64_t> all_indices(const Split& split) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(split.size));
  std::iota(out.begin(), out.end(), std::int64_t{0});
  return out;
}

}  // namespace coppice
