#include "core/local_plan.h"

#include <algorithm>  // for any_of
#include <cmath>      // for cos, pow
#include <numbers>    // for pi

#include "core/error.h"
#include "core/text.h"

namespace coppice {

double schedule_factor(const ScheduleSpec& schedule, std::int64_t round, std::int64_t rounds) {
  if (round < 1 || round > rounds)
    throw ConfigError(text("schedule: round ", round, " is outside 1..", rounds));
  if (round <= schedule.warmup_rounds) {
    return static_cast<double>(round) / static_cast<double>(schedule.warmup_rounds + 1);
  }
  const std::int64_t since = round - 1 - schedule.warmup_rounds;
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return 1.0;
    case ScheduleKind::kCosine: {
      const double t =
          static_cast<double>(since) / static_cast<double>(rounds - schedule.warmup_rounds);
      return schedule.min_factor +
             (1.0 - schedule.min_factor) * (1.0 + std::cos(std::numbers::pi * t)) / 2.0;
    }
    case ScheduleKind::kStep: {
      const std::int64_t steps = since / schedule.step_rounds;
      return std::pow(schedule.gamma, static_cast<double>(steps));
    }
    case ScheduleKind::kExponential:
      return std::pow(schedule.gamma, static_cast<double>(since));
  }
  return 1.0;
}

bool is_distilled(const LocalPlan& plan) {
  return std::ranges::any_of(plan.loss_terms, [](const LossTerm& term) {
    return term.kind == LossKind::kDistillation || term.kind == LossKind::kFeatureMatching;
  });
}

}  // namespace coppice
