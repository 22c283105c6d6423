#include "algorithms/client_precision.h"

#include <algorithm>  // for clamp, min, minmax_element
#include <cmath>      // for cbrt, llround, log2, sqrt
#include <numeric>    // for accumulate

namespace coppice {
namespace {

constexpr int kHalvings = 60;  // of an interval of a few bits: to the last digit of a double

std::vector<double> shares_of(std::span<const std::int64_t> weights) {
  const auto total =
      static_cast<double>(std::accumulate(weights.begin(), weights.end(), std::int64_t{0}));
  std::vector<double> shares;
  for (const std::int64_t weight : weights) shares.push_back(static_cast<double>(weight) / total);
  return shares;
}

}  // namespace

LevelSchedule after_round(LevelSchedule schedule, double loss, std::int64_t first,
                          std::int64_t window) {
  if (schedule.levels == 0) schedule.levels = first;
  const double before = schedule.averages.empty() ? loss : double{schedule.averages.back()};
  schedule.averages.push_back(
      static_cast<float>(kLossMemory * before + (1.0 - kLossMemory) * loss));
  ++schedule.unchanged;
  const std::int64_t known = std::ssize(schedule.averages);
  if (known <= window) return schedule;
  const auto earlier = schedule.averages.end() - 1 - window;
  const bool is_stalled = schedule.averages.back() >= *earlier;
  schedule.averages.erase(schedule.averages.begin(), earlier + 1);
  if (is_stalled && schedule.unchanged >= window) {
    schedule.levels = std::min(2 * schedule.levels, kMostLevels);
    schedule.unchanged = 0;
  }
  return schedule;
}

std::vector<std::int64_t> levels_by_weight(std::span<const std::int64_t> weights, double levels) {
  const std::vector<double> shares = shares_of(weights);
  double a = 0.0;
  double b = 0.0;
  for (const double share : shares) {
    a += std::cbrt(share * share);
    b += share * share / (levels * levels);
  }
  std::vector<std::int64_t> out;
  for (const double share : shares) {
    const double exact = std::sqrt(a / b) * std::cbrt(share * share);
    out.push_back(std::clamp<std::int64_t>(
        std::llround(std::min(exact, static_cast<double>(kMostLevels))), 1, kMostLevels));
  }
  return out;
}

// The constant is found by halving: the mean of the clamped bits rises with it.
std::vector<double> bits_by_weight(std::span<const std::int64_t> weights, double mean, double least,
                                   double most) {
  std::vector<double> bits = shares_of(weights);
  if (bits.empty()) return bits;
  mean = std::clamp(mean, least, most);
  for (double& share : bits) share = std::log2(share);
  const auto [lowest, highest] = std::ranges::minmax_element(bits);
  double low = least - *highest;  // all at least
  double high = most - *lowest;   // all at most
  const auto mean_at = [&](double constant) {
    double sum = 0.0;
    for (const double value : bits) sum += std::clamp(value + constant, least, most);
    return sum / static_cast<double>(bits.size());
  };
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2.0;
    (mean_at(middle) <= mean ? low : high) = middle;
  }
  for (double& value : bits) value = std::clamp(value + low, least, most);
  return bits;
}

}  // namespace coppice
