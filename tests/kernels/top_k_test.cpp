#include "kernels/top_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/step_case.h"

namespace coppice::kernels {
namespace {

std::vector<std::uint32_t> by_sorting(const float* values, std::int64_t n, std::int64_t k) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(
      order, [=](auto a, auto b) { return std::abs(values[a]) > std::abs(values[b]); });
  order.resize(static_cast<std::size_t>(k));
  std::ranges::sort(order);
  return order;
}

void expect_as_sorted(const float* values, std::int64_t n, std::int64_t k) {
  std::vector<std::uint32_t> positions(static_cast<std::size_t>(k) + 1);
  top_k_positions(values, n, top_k(values, n, k), positions.data());
  positions.pop_back();
  EXPECT_EQ(positions, by_sorting(values, n, k)) << k << " of " << n;
}

TEST(TopKTest, ChoosesWhatSortingWouldAtEveryLengthAndMisalignment) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      for (std::int64_t k = 1; k <= n; k += 1 + n / 9) {
        Array values(n, misalignment, 7);
        expect_as_sorted(values.data(), n, k);
      }
    }
  }
}

TEST(TopKTest, ChoosesAmongEqualAndNearlyEqualMagnitudes) {
  std::vector<float> values(100, -1.0F);
  values[50] = std::nextafter(1.0F, 0.0F);
  values[60] = std::nextafter(1.0F, 2.0F);
  values[70] = 1e-40F;
  values[80] = 0.0F;
  values[90] = 3e38F;
  for (std::int64_t k = 1; k <= 100; ++k) expect_as_sorted(values.data(), 100, k);
  values.assign(100, 0.0F);
  for (const std::int64_t k : {1, 50, 100}) expect_as_sorted(values.data(), 100, k);
}

}  // namespace
}  // namespace coppice::kernels
