#include "kernels/lloyd_max.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace coppice::kernels {
namespace {

double density(double x) {
  return std::isinf(x) ? 0.0 : std::exp(-x * x / 2.0) / std::sqrt(2.0 * std::numbers::pi);
}
double above(double x) { return std::erfc(x / std::numbers::sqrt2) / 2.0; }

std::vector<double> levels_of(int bits) {
  const float* levels = normal_levels(bits);
  return {levels, levels + (1 << (bits - 1))};
}

// Boundaries of the positive half, from 0 to infinity.
std::vector<double> boundaries_of(const std::vector<double>& levels) {
  std::vector<double> boundaries{0.0};
  for (std::size_t i = 1; i < levels.size(); ++i)
    boundaries.push_back((levels[i - 1] + levels[i]) / 2.0);
  boundaries.push_back(std::numeric_limits<double>::infinity());
  return boundaries;
}

TEST(LloydMaxTest, EveryLevelIsTheMeanOfItsInterval) {
  for (int bits = 1; bits <= kMaxNormalBits; ++bits) {
    const std::vector<double> levels = levels_of(bits);
    const std::vector<double> ends = boundaries_of(levels);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const double mass = above(ends[i]) - above(ends[i + 1]);
      EXPECT_NEAR(levels[i], (density(ends[i]) - density(ends[i + 1])) / mass, 2e-6)
          << bits << " bits, level " << i;
    }
  }
}

// Max 1960, table I: mean squared errors of 2, 4, 8, 16 and 32 levels.
TEST(LloydMaxTest, DistortionIsThePublishedOne) {
  const double published[] = {0.3634, 0.1175, 0.03454, 0.009497, 0.002499};
  for (int bits = 1; bits <= 5; ++bits) {
    const std::vector<double> levels = levels_of(bits);
    const std::vector<double> ends = boundaries_of(levels);
    double distortion = 1.0;
    for (std::size_t i = 0; i < levels.size(); ++i)
      distortion -= 2.0 * levels[i] * levels[i] * (above(ends[i]) - above(ends[i + 1]));
    EXPECT_NEAR(distortion / published[bits - 1], 1.0, 0.003) << bits;
  }
}

// Against a search through all levels, at a fine grid and a step around every boundary.
TEST(LloydMaxTest, CodeIsThatOfTheNearestLevel) {
  for (int bits = 1; bits <= kMaxNormalBits; ++bits) {
    const std::vector<double> levels = levels_of(bits);
    std::vector<float> values;
    for (int i = -40'000; i <= 40'000; ++i) values.push_back(static_cast<float>(i) * 1.37e-4F);
    for (const float far : {10.0F, 1e9F, -1e9F, 0.0F, -0.0F}) values.push_back(far);
    const float* exact = normal_levels(bits);
    for (std::size_t i = 1; i < levels.size(); ++i) {
      const float boundary = (exact[i - 1] + exact[i]) / 2.0F;
      for (const float value : {boundary, std::nextafter(boundary, 9.0F)}) {
        values.push_back(value);
        values.push_back(-value);
      }
    }
    std::vector<std::uint8_t> codes(values.size());
    std::vector<float> chosen(values.size()), again(values.size());
    quantize_normal(values.data(), 0.5F, bits, static_cast<std::int64_t>(values.size()),
                    codes.data(), chosen.data());
    quantize_normal(values.data(), 1.0F, bits, static_cast<std::int64_t>(values.size()),
                    codes.data(), chosen.data());
    normal_levels_of(codes.data(), bits, static_cast<std::int64_t>(values.size()), again.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double magnitude = std::abs(static_cast<double>(values[i]));
      std::size_t nearest = 0;
      for (std::size_t k = 1; k < levels.size(); ++k) {
        if (magnitude > static_cast<double>((exact[k - 1] + exact[k]) / 2.0F)) nearest = k;
      }
      ASSERT_EQ(codes[i], 2 * nearest + (std::signbit(values[i]) ? 1 : 0))
          << bits << " bits, " << values[i];
      ASSERT_EQ(chosen[i], std::copysign(exact[nearest], values[i]));
      ASSERT_EQ(again[i], chosen[i]);
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
