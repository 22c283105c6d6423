#include "launch/bench/rank_correlation.h"

#include <algorithm>  // for all_of, stable_sort
#include <cmath>      // for isfinite, sqrt
#include <cstddef>    // for size_t
#include <numeric>    // for iota

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

void check_finite(std::span<const double> values) {
  if (!std::ranges::all_of(values, [](double value) { return std::isfinite(value); }))
    throw ConfigError("rank correlation: expected finite values");
}

}  // namespace

std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    // Places first + 1 to end.
    for (std::size_t i = first; i < end; ++i)
      ranks[order[i]] = static_cast<double>(first + 1 + end) / 2.0;
    first = end;
  }
  return ranks;
}

double rank_correlation(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size() || a.size() < 2) {
    throw ConfigError(text("rank correlation: expected two lists of as many values, at least two, ",
                           "got ", a.size(), " and ", b.size()));
  }
  check_finite(a);
  check_finite(b);
  const std::vector<double> ranks_a = ranks_of(a);
  const std::vector<double> ranks_b = ranks_of(b);
  const double mean = (static_cast<double>(a.size()) + 1.0) / 2.0;
  double both = 0.0;
  double squares_a = 0.0;
  double squares_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double from_a = ranks_a[i] - mean;
    const double from_b = ranks_b[i] - mean;
    both += from_a * from_b;
    squares_a += from_a * from_a;
    squares_b += from_b * from_b;
  }
  if (squares_a == 0.0 || squares_b == 0.0) return 0.0;
  return both / std::sqrt(squares_a * squares_b);
}

}  // namespace coppice
