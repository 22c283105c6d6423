#include "kernels/sgd.h"

#include <gtest/gtest.h>

#include "tests/kernels/step_case.h"

namespace coppice::kernels {
namespace {

TEST(SgdTest, EqualsTheNaiveStepAtEveryLengthAndMisalignment) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      for (const StepCase& step_case : kCases) {
        StepArrays arrays(n, misalignment);
        const StepArrays before = arrays;
        sgd_step({.terms = arrays.terms(step_case),
                  .weights = arrays.weights.data(),
                  .velocity = arrays.first.data(),
                  .lr = 0.5F,
                  .momentum = 0.9F,
                  .weight_decay = step_case.weight_decay,
                  .clip_scale = step_case.clip_scale},
                 0, n);
        for (std::int64_t i = 0; i < n; ++i) {
          const auto w = static_cast<double>(before.weights[i]);
          const double d =
              static_cast<double>(step_case.clip_scale) * before.local_gradient(step_case, i) +
              static_cast<double>(step_case.weight_decay) * w;
          const double v =
              before.keeps(step_case, i) ? 0.9 * static_cast<double>(before.first[i]) + d : 0.0;
          const double expected = before.keeps(step_case, i) ? w - 0.5 * v : 0.0;
          ASSERT_NEAR(static_cast<double>(arrays.first[i]), v, 1e-6) << n << " at " << i;
          ASSERT_NEAR(static_cast<double>(arrays.weights[i]), expected, 1e-6) << n << " at " << i;
        }
      }
    }
  }
}

TEST(SgdTest, WithoutVelocityIsPlainDescent) {
  float weight = 1.0F;
  const float gradient = 0.5F;
  sgd_step({.terms = {.gradient = &gradient}, .weights = &weight, .lr = 0.25F}, 0, 1);
  EXPECT_EQ(weight, 0.875F);
}

TEST(SgdTest, LeavesElementsOutsideTheRangeAlone) {
  StepArrays arrays(1000, 1);
  const StepArrays before = arrays;
  sgd_step({.terms = arrays.terms({}), .weights = arrays.weights.data(), .lr = 0.5F}, 100, 900);
  for (const std::int64_t i : {0, 99, 900, 999}) EXPECT_EQ(arrays.weights[i], before.weights[i]);
  EXPECT_NE(arrays.weights[100], before.weights[100]);
  EXPECT_NE(arrays.weights[899], before.weights[899]);
}

}  // namespace
}  // namespace coppice::kernels
