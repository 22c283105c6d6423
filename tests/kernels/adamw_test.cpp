#include "kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/step_case.h"

namespace coppice::kernels {
namespace {

TEST(AdamWTest, EqualsTheNaiveStepAtEveryLengthAndMisalignment) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      for (const StepCase& step_case : kCases) {
        StepArrays arrays(n, misalignment);
        const StepArrays before = arrays;
        adamw_step({.terms = arrays.terms(step_case),
                    .weights = arrays.weights.data(),
                    .first_moment = arrays.first.data(),
                    .second_moment = arrays.second.data(),
                    .t = 3,
                    .lr = 0.01,
                    .weight_decay = static_cast<double>(step_case.weight_decay),
                    .clip_scale = step_case.clip_scale},
                   0, n);
        for (std::int64_t i = 0; i < n; ++i) {
          const auto w = static_cast<double>(before.weights[i]);
          const double d =
              static_cast<double>(step_case.clip_scale) * before.local_gradient(step_case, i);
          const double m = 0.9 * static_cast<double>(before.first[i]) + 0.1 * d;
          const double s = 0.999 * static_cast<double>(before.second[i]) + 0.001 * d * d;
          const double m_hat = m / (1.0 - std::pow(0.9, 3));
          const double s_hat = s / (1.0 - std::pow(0.999, 3));
          const double decayed = w - 0.01 * static_cast<double>(step_case.weight_decay) * w;
          const double expected =
              before.keeps(step_case, i) ? decayed - 0.01 * m_hat / (std::sqrt(s_hat) + 1e-8) : 0.0;
          ASSERT_NEAR(static_cast<double>(arrays.weights[i]), expected, 2e-6) << n << " at " << i;
        }
      }
    }
  }
}

TEST(AdamWTest, FirstStepMovesEveryWeightByLr) {
  // With t = 1 both bias corrections cancel: the step is lr * sign(g).
  float weights[] = {1.0F, 1.0F}, first[2] = {}, second[2] = {};
  const float gradient[] = {1e-3F, -50.0F};
  adamw_step({.terms = {.gradient = gradient},
              .weights = weights,
              .first_moment = first,
              .second_moment = second,
              .lr = 0.125},
             0, 2);
  EXPECT_NEAR(weights[0], 0.875F, 1e-5);
  EXPECT_NEAR(weights[1], 1.125F, 1e-5);
}

}  // namespace
}  // namespace coppice::kernels
