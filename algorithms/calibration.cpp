#include "algorithms/calibration.h"

#include <algorithm>  // for clamp
#include <bit>        // for bit_cast
#include <cmath>      // for ldexp
#include <vector>     // for vector

namespace coppice {
namespace {

constexpr std::int64_t kBinsPerSign = 256;
constexpr std::int64_t kBinsPerOctave = 8;
constexpr int kLowestExponent = -20;
constexpr std::int64_t kFloatBias = 127;
constexpr int kLevels = 255;

// What is left of a distribution: one weighted value a bin. A bin that straddles zero counts as
// zero.
struct WeightedValue {
  double value = 0.0;
  double weight = 0.0;
};

std::vector<WeightedValue> centres(std::span<const std::int64_t> counts) {
  std::vector<WeightedValue> out;
  for (std::int64_t bin = 0; bin < kHistogramBins; ++bin) {
    const auto count = counts[static_cast<std::size_t>(bin)];
    if (count == 0) continue;
    const BinRange range = histogram_range(bin);
    const double middle = range.lower == 0.0 ? 0.0 : (range.lower + range.upper) / 2.0;
    out.push_back({bin < kBinsPerSign ? -middle : middle, static_cast<double>(count)});
  }
  return out;
}

struct Grid {
  float scale = 1.0F / kLevels;
  int zero_point = 0;
};

// Jacob et al. 2018, section 3: zero is exactly a code.
Grid grid_between(double low, double high) {
  const auto scale = static_cast<float>((high - low) / kLevels);
  return {scale, static_cast<int>(std::clamp(std::nearbyint(-low / double{scale}), 0.0, 255.0))};
}

// Rounding inside a bin is taken as uniform: scale^2 / 12; clipping is measured.
double expected_error(const std::vector<WeightedValue>& values, const Grid& grid) {
  const double low = -grid.zero_point * double{grid.scale};
  const double high = (kLevels - grid.zero_point) * double{grid.scale};
  const double rounding = double{grid.scale} * double{grid.scale} / 12.0;
  double error = 0.0;
  for (const auto& [value, weight] : values) {
    const double clipped = value - std::clamp(value, low, high);
    // Zero is exact, whatever the grid.
    error += weight * (clipped * clipped + (value == 0.0 ? 0.0 : rounding));
  }
  return error;
}

}  // namespace

std::int64_t histogram_bin(float value) {
  if (!std::isfinite(value)) return -1;
  const auto bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffU;
  // Exponent and the three highest bits of the mantissa: eight bins an octave.
  const auto step = static_cast<std::int64_t>(bits >> 20U);
  const std::int64_t first = (kFloatBias + kLowestExponent) * kBinsPerOctave;
  const std::int64_t bin = std::clamp(step - first, std::int64_t{0}, kBinsPerSign - 1);
  return value < 0.0F ? bin : bin + kBinsPerSign;
}

BinRange histogram_range(std::int64_t bin) {
  const std::int64_t step = bin % kBinsPerSign;
  const auto edge = [](std::int64_t at) {
    const double mantissa = 1.0 + static_cast<double>(at % kBinsPerOctave) / kBinsPerOctave;
    return std::ldexp(mantissa, kLowestExponent + static_cast<int>(at / kBinsPerOctave));
  };
  return {step == 0 ? 0.0 : edge(step), edge(step + 1)};
}

std::int64_t count_values(std::span<const float> values, std::span<std::int64_t> counts) {
  std::int64_t left_out = 0;
  for (const float value : values) {
    const std::int64_t bin = histogram_bin(value);
    if (bin < 0) {
      ++left_out;
    } else {
      ++counts[static_cast<std::size_t>(bin)];
    }
  }
  return left_out;
}

ActivationQuant activation_quant(const std::string& node, std::span<const std::int64_t> counts) {
  double low = 0.0;
  double high = 0.0;
  for (std::int64_t bin = 0; bin < kHistogramBins; ++bin) {
    if (counts[static_cast<std::size_t>(bin)] == 0 || bin % kBinsPerSign == 0) continue;
    const double edge = histogram_range(bin).upper;
    (bin < kBinsPerSign ? low : high) =
        bin < kBinsPerSign ? std::min(low, -edge) : std::max(high, edge);
  }
  Grid best;
  if (low < 0.0 || high > 0.0) {
    const std::vector<WeightedValue> values = centres(counts);
    best = grid_between(low, high);
    double least = expected_error(values, best);
    // Both ends move in by an eighth of an octave a step, each on its own.
    constexpr int kSteps = 24;
    for (int i = 0; i < kSteps; ++i) {
      for (int j = 0; j < kSteps; ++j) {
        if ((low == 0.0 && i > 0) || (high == 0.0 && j > 0)) continue;
        const Grid grid = grid_between(low * std::exp2(-i / 8.0), high * std::exp2(-j / 8.0));
        const double error = expected_error(values, grid);
        if (error < least) {
          least = error;
          best = grid;
        }
      }
    }
  }
  return {.node = node, .scale = best.scale, .zero_point = best.zero_point};
}

}  // namespace coppice
