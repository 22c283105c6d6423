#include "core/task.h"

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

void RankReport::merge(const RankReport& other) {
  for (const auto& [key, named] : other.sums) {
    NamedSums& mine = sums[key];
    for (const auto& [name, sum] : named) {
      const auto found = mine.find(name);
      if (found == mine.end()) {
        mine.emplace(name, sum);
      } else {
        found->second.merge(sum);
      }
    }
  }
  rows.insert(rows.end(), other.rows.begin(), other.rows.end());
}

NamedSums empty_sums(const ClientTask& task, std::int64_t parameters, std::int64_t units) {
  NamedSums sums;
  sums.emplace(kUpdateSum, ExactSum(parameters, task.update_grid, task.max_weight));
  if (task.ballot) sums.emplace(kBallotSum, ExactSum(units, task.ballot->grid, task.max_weight));
  return sums;
}

}  // namespace coppice
