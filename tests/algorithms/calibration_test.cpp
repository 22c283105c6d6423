#include "algorithms/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/random.h"

namespace coppice {
namespace {

using Counts = std::vector<std::int64_t>;

Counts counted(const std::vector<float>& values) {
  Counts counts(kHistogramBins, 0);
  EXPECT_EQ(count_values(values, counts), 0);
  return counts;
}

double mean_squared_error(const std::vector<float>& values, float scale, int zero_point) {
  double error = 0.0;
  for (const float value : values) {
    const float code =
        std::clamp(std::nearbyint(value / scale) + static_cast<float>(zero_point), 0.0F, 255.0F);
    const double difference =
        double{value} - double{code - static_cast<float>(zero_point)} * double{scale};
    error += difference * difference;
  }
  return error / static_cast<double>(values.size());
}

TEST(CalibrationTest, EveryValueIsInTheRangeOfItsBin) {
  RandomStream stream({.seed = 1});
  for (int i = 0; i < 20000; ++i) {
    const auto value =
        static_cast<float>(stream.next_normal() * std::exp2(stream.next_normal() * 2));
    const std::int64_t bin = histogram_bin(value);
    ASSERT_GE(bin, 0);
    ASSERT_LT(bin, kHistogramBins);
    ASSERT_EQ(bin < 256, value < 0.0F);
    const BinRange range = histogram_range(bin);
    ASSERT_GE(std::abs(value), range.lower) << value;
    ASSERT_LT(std::abs(value), range.upper) << value;
  }
}

TEST(CalibrationTest, BinsJoinWithoutGapsAndTheEndsTakeTheRest) {
  for (std::int64_t bin = 1; bin < 256; ++bin)
    EXPECT_EQ(histogram_range(bin).lower, histogram_range(bin - 1).upper);
  EXPECT_EQ(histogram_range(255).upper, 4096.0);
  EXPECT_EQ(histogram_bin(0.0F), 256);
  EXPECT_EQ(histogram_bin(-0.0F), 256);
  EXPECT_EQ(histogram_bin(1e-30F), 256);
  EXPECT_EQ(histogram_bin(-1e-30F), 0);
  EXPECT_EQ(histogram_bin(1e30F), 511);
  EXPECT_EQ(histogram_bin(-1e30F), 255);
}

TEST(CalibrationTest, ValuesThatAreNotFiniteAreLeftOutAndCounted) {
  Counts counts(kHistogramBins, 0);
  const std::vector<float> values{1.0F, std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(count_values(values, counts), 2);
  EXPECT_EQ(counts[static_cast<std::size_t>(histogram_bin(1.0F))], 1);
}

TEST(CalibrationTest, OneSidedValuesUseAllCodes) {
  std::vector<float> values;
  for (int i = 0; i <= 1000; ++i) values.push_back(static_cast<float>(i) / 1000.0F);
  const ActivationQuant quant = activation_quant("relu", counted(values));
  EXPECT_EQ(quant.node, "relu");
  EXPECT_EQ(quant.zero_point, 0);
  EXPECT_GE(255.0F * quant.scale, 0.93F);
  EXPECT_LE(255.0F * quant.scale, 1.13F);
}

TEST(CalibrationTest, ZeroIsACodeOfTwoSidedValues) {
  std::vector<float> values;
  for (int i = -250; i <= 750; ++i) values.push_back(static_cast<float>(i) / 1000.0F);
  const ActivationQuant quant = activation_quant("x", counted(values));
  EXPECT_NEAR(quant.zero_point, 64, 8);
  EXPECT_LT(mean_squared_error(values, quant.scale, quant.zero_point),
            1.3 * quant.scale * quant.scale / 12.0);
}

TEST(CalibrationTest, RareLargeValuesAreClippedWhenThatIsBetter) {
  RandomStream stream({.seed = 2});
  std::vector<float> values;
  values.reserve(200001);
  for (int i = 0; i < 200000; ++i)
    values.push_back(static_cast<float>(std::abs(stream.next_normal())));
  values.push_back(40.0F);
  const ActivationQuant quant = activation_quant("x", counted(values));
  EXPECT_LT(255.0F * quant.scale, 36.0F);
  EXPECT_LT(mean_squared_error(values, quant.scale, quant.zero_point),
            mean_squared_error(values, 40.0F / 255.0F, 0));
}

TEST(CalibrationTest, NothingCountedStillGivesAGrid) {
  const ActivationQuant quant = activation_quant("x", Counts(kHistogramBins, 0));
  EXPECT_FLOAT_EQ(quant.scale, 1.0F / 255.0F);
  EXPECT_EQ(quant.zero_point, 0);
}

}  // namespace
}  // namespace coppice
