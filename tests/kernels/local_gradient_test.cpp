#include "kernels/local_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/step_case.h"

namespace coppice::kernels {
namespace {

TEST(LocalGradientTest, EqualsTheDefinitionAtEveryLengthAndMisalignment) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      for (const StepCase& step_case : kCases) {
        StepArrays arrays(n, misalignment);
        std::vector<float> out(static_cast<std::size_t>(n));
        local_gradient(arrays.terms(step_case), 0, n, out.data());
        double square_norm = 0.0;
        for (std::int64_t i = 0; i < n; ++i) {
          const double expected = arrays.local_gradient(step_case, i);
          ASSERT_NEAR(static_cast<double>(out[static_cast<std::size_t>(i)]), expected, 1e-6)
              << n << " at " << i;
          square_norm += expected * expected;
        }
        EXPECT_NEAR(local_gradient_square_norm(arrays.terms(step_case), 0, n), square_norm,
                    1e-6 * (1.0 + square_norm));
      }
    }
  }
}

TEST(LocalGradientTest, NormHasTheSameBitsAtEveryMisalignment) {
  StepArrays aligned(1000, 0), shifted(1000, 3);
  EXPECT_EQ(local_gradient_square_norm(aligned.terms(kCases[4]), 0, 1000),
            local_gradient_square_norm(shifted.terms(kCases[4]), 0, 1000));
}

TEST(LocalGradientTest, NormOfALongVectorOfTensIsExact) {
  // Single precision would stop counting at 2^24.
  const std::vector<float> tens(1 << 20, 10.0F);
  EXPECT_EQ(local_gradient_square_norm({.gradient = tens.data()}, 0, 1 << 20), 104857600.0);
}

TEST(LocalGradientTest, RangesSeeTheirOwnElementsOnly) {
  StepArrays arrays(1000, 1);
  std::vector<float> whole(1000), part(300);
  local_gradient(arrays.terms(kCases[4]), 0, 1000, whole.data());
  local_gradient(arrays.terms(kCases[4]), 333, 633, part.data());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 333));
}

TEST(LocalGradientTest, MaskedNotANumberBecomesZero) {
  const float values[] = {std::numeric_limits<float>::quiet_NaN(), 2.0F};
  const std::uint64_t mask[] = {0b10};
  EXPECT_EQ(local_gradient_square_norm({.gradient = values, .mask = mask}, 0, 2), 4.0);
  EXPECT_TRUE(std::isnan(local_gradient_square_norm({.gradient = values}, 0, 2)));
}

}  // namespace
}  // namespace coppice::kernels
