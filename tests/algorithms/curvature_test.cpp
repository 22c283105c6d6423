#include "algorithms/curvature.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

using Counts = std::vector<std::int64_t>;

TEST(CurvatureTest, ClassesCountAsTheyWouldAmongAllSamples) {
  // Global 0.5, 0.25, 0.25, 0; local 0.25, 0.75, 0, 0.
  const std::vector<double> weights = class_weights(Counts{10, 5, 5, 0}, Counts{1, 3, 0, 0}, 2.5);
  EXPECT_EQ(weights, (std::vector<double>{2.0, 0.4, 2.5, 1.0}));
  EXPECT_EQ(class_weights(Counts{10, 5, 5, 0}, Counts{1, 3, 0, 0}, 1.0),
            (std::vector<double>{1.0, 1.0, 1.0, 1.0}));
  EXPECT_EQ(class_weights(Counts{0, 4}, Counts{2, 2}, 4.0), (std::vector<double>{0.25, 2.0}));
}

TEST(CurvatureTest, CountsThatAreNoneAreRefused) {
  EXPECT_TRUE(contains(thrown_text<ConfigError>([] {
                         class_weights(Counts{1, 2}, Counts{1}, 2.0);
                       }),
                       "got 1"));
  EXPECT_THROW(class_weights(Counts{1, -1}, Counts{1, 1}, 2.0), ConfigError);
  EXPECT_THROW(class_weights(Counts{1, 1}, Counts{0, 0}, 2.0), ConfigError);
  EXPECT_THROW(class_weights(Counts{1}, Counts{1}, 0.5), ConfigError);
  EXPECT_THROW(class_weights(Counts{1}, Counts{1}, std::numeric_limits<double>::quiet_NaN()),
               ConfigError);
}

TEST(CurvatureTest, OneBatchAddsAQuarterOfItsSizeTimesTheSquaredDifference) {
  std::vector<float> curvature{1.0F, 0.0F};
  accumulate_curvature(std::vector{3.0F, 1.0F}, std::vector{1.0F, 1.0F}, 4, curvature);
  EXPECT_EQ(curvature, (std::vector<float>{1.0F + 8.0F / 4.0F * 4.0F, 0.0F}));
  EXPECT_THROW(accumulate_curvature(std::vector{1.0F}, std::vector{1.0F, 1.0F}, 4, curvature),
               ConfigError);
  EXPECT_THROW(accumulate_curvature(curvature, std::vector{1.0F, 1.0F}, 0, curvature), ConfigError);
}

// All ways to draw two and two of six samples: the mean of the estimates is the variance with N - 1
// in the denominator, without any error of sampling.
TEST(CurvatureTest, OverAllSplitsItIsTheVarianceOfOneSamplesGradient) {
  const std::array<float, 6> gradients{1.0F, -2.0F, 4.0F, 0.5F, 0.25F, -3.0F};
  std::vector<float> sum(1);
  int splits = 0;
  for (std::size_t a = 0; a < 6; ++a) {
    for (std::size_t b = a + 1; b < 6; ++b) {
      for (std::size_t c = 0; c < 6; ++c) {
        for (std::size_t d = c + 1; d < 6; ++d) {
          if (c == a || c == b || d == a || d == b) continue;
          accumulate_curvature(std::vector{(gradients[a] + gradients[b]) / 2.0F},
                               std::vector{(gradients[c] + gradients[d]) / 2.0F}, 2, sum);
          ++splits;
        }
      }
    }
  }
  ASSERT_EQ(splits, 90);
  double mean = 0.0;
  for (const float gradient : gradients) mean += double{gradient} / 6.0;
  double variance = 0.0;
  for (const float gradient : gradients)
    variance += (double{gradient} - mean) * (double{gradient} - mean) / 5.0;
  EXPECT_NEAR(double{sum[0]} / splits, variance, 1e-5 * variance);
}

// Linear regression y = x . w* + noise, x_j normal with deviation s_j, at w = w* + d. One sample's
// gradient is r x_j, r = x . d - noise; by Isserlis' theorem its mean is d_j s_j^2 and its variance
// s_j^2 (sigma^2 + sum of d_k^2 s_k^2) + d_j^2 s_j^4.
TEST(CurvatureTest, AlongADirectionItIsTheSquareOfTheProduct) {
  const std::vector<float> difference{1.0F, -2.0F, 0.5F, 0.0F, 1.0F, 1.0F, 1.0F, 1.0F, 4.0F};
  const std::vector<float> change{2.0F, 1.0F, 4.0F, 9.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.25F};
  // 2 - 2 + 2 + 1 = 3, of halves of 8 samples: 16 x 9 / 8.
  EXPECT_EQ(bend_along(difference, 8, change), 18.0);
  // Of one weight, half of what the diagonal has times the change's square.
  std::vector<float> curvature{0.0F};
  accumulate_curvature(std::vector{3.0F}, std::vector{1.0F}, 4, curvature);
  EXPECT_EQ(bend_along(std::vector{2.0F}, 4, std::vector{3.0F}), 0.5 * double{curvature[0]} * 9.0);
  EXPECT_THROW(bend_along(difference, 8, std::vector{1.0F}), ConfigError);
  EXPECT_THROW(bend_along(difference, 0, change), ConfigError);
}

TEST(CurvatureTest, OfLinearRegressionItIsTheClosedForm) {
  constexpr int kBatches = 40'000;
  constexpr std::int64_t kHalf = 4;
  constexpr double kNoise = 0.5;
  const std::array<double, 3> deviation{0.2, 1.0, 3.0};
  for (const double distance : {0.0, 0.3}) {
    RandomStream stream({.seed = 7});
    const auto half_gradient = [&] {
      std::vector<float> mean(3);
      for (int i = 0; i < kHalf; ++i) {
        std::array<double, 3> x{};
        double residual = -kNoise * stream.next_normal();
        for (std::size_t j = 0; j < 3; ++j) {
          x[j] = deviation[j] * stream.next_normal();
          residual += x[j] * distance;
        }
        for (std::size_t j = 0; j < 3; ++j) mean[j] += static_cast<float>(residual * x[j] / kHalf);
      }
      return mean;
    };
    std::vector<float> curvature(3);
    for (int i = 0; i < kBatches; ++i) {
      const std::vector<float> a = half_gradient();
      accumulate_curvature(a, half_gradient(), kHalf, curvature);
    }
    double residual_variance = kNoise * kNoise;
    for (const double s : deviation) residual_variance += distance * distance * s * s;
    for (std::size_t j = 0; j < 3; ++j) {
      const double square = deviation[j] * deviation[j];
      const double expected = square * residual_variance + distance * distance * square * square;
      EXPECT_NEAR(double{curvature[j]} / kBatches, expected, 0.04 * expected) << j;
    }
  }
}

}  // namespace
}  // namespace coppice
