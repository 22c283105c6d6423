#include "core/task.h"

#include <algorithm>  // for lower_bound
#include <iterator>   // for move_iterator
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"

namespace coppice {

const char* reason_text(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kNone:
      return "none";
    case RefusalReason::kNotFinite:
      return "not_finite";
    case RefusalReason::kOutOfRange:
      return "out_of_range";
    case RefusalReason::kNormAboveBound:
      return "norm_above_bound";
  }
  return "unknown";
}

void RankReport::merge(RankReport&& other) {
  for (auto& [key, named] : other.sums) {
    NamedSums& mine = sums[key];
    for (auto& [name, sum] : named) {
      const auto found = mine.find(name);
      if (found == mine.end()) {
        mine.emplace(name, std::move(sum));
      } else {
        found->second.merge(std::move(sum));
      }
    }
  }
  if (rows.empty()) {
    rows = std::move(other.rows);
  } else {
    rows.insert(rows.end(), other.rows.begin(), other.rows.end());
  }
  residuals.insert(residuals.end(), std::move_iterator(other.residuals.begin()),
                   std::move_iterator(other.residuals.end()));
}

const CodecOptions& codec_options_of(const ClientTask& task, std::int64_t client) {
  if (task.client_options.empty()) return task.codec_options;
  const auto found = std::ranges::lower_bound(task.cohort, client);
  if (found == task.cohort.end() || *found != client)
    throw Error(text("task: client ", client, " is not in its cohort"));
  return task.client_options.at(static_cast<std::size_t>(found - task.cohort.begin()));
}

SumKey sum_key(const ClientTask& task) { return {task.model_version, 0, task.mask_epoch}; }

NamedSums empty_sums(const ClientTask& task, SumSizes sizes) {
  NamedSums sums;
  if (task.calibration) {
    const auto nodes = static_cast<std::int64_t>(task.calibration->nodes.size());
    sums.emplace(kHistogramSum,
                 ExactSum(nodes * kHistogramBins, task.calibration->grid, task.max_weight));
    return sums;
  }
  if (task.sense) {
    const auto cells =
        static_cast<std::int64_t>(task.sense->parameters.size() * task.sense->candidates.size());
    sums.emplace(kSensitivitySum, ExactSum(cells, task.sense->grid, task.max_weight));
    return sums;
  }
  if (task.gate) {
    sums.emplace(kOutcomeSum, ExactSum(kOutcomes, task.gate->grid, task.max_weight));
    return sums;
  }
  sums.emplace(kUpdateSum, ExactSum(sizes.parameters, task.update_grid, task.max_weight));
  if (task.ballot)
    sums.emplace(kBallotSum, ExactSum(sizes.units, task.ballot->grid, task.max_weight));
  if (task.regrow)
    sums.emplace(kMaskBallotSum,
                 ExactSum(task.regrow->weights(), task.regrow->grid, task.max_weight));
  return sums;
}

}  // namespace coppice
