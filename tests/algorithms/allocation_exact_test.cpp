#include <gtest/gtest.h>

#include "algorithms/allocation.h"
#include "core/error.h"
#include "tests/algorithms/allocation_cases.h"

namespace coppice {
namespace {

TEST(ExactAllocationTest, ChoicesAreWithinAHundredthOfTheExactOptimum) {
  int exactly = 0;
  int all = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    const Layers layers = synthetic_layers(seed);
    for (const std::int64_t factor : {16, 32, 64}) {
      const std::int64_t budget = dense_bytes(layers) / factor;
      const Allocation allocation = allocate(layers, {.bytes = budget});
      const ExactAllocation exact = exact_allocation(layers, budget);
      if (!allocation.is_feasible) {
        EXPECT_GT(allocation.least_bytes, budget);
        continue;
      }
      ASSERT_TRUE(exact.is_exact);
      EXPECT_LE(allocation.lower_bound, exact.allocation.loss);
      EXPECT_LE(exact.allocation.loss, allocation.loss);
      EXPECT_LE(allocation.loss, 1.01 * exact.allocation.loss) << seed << " x" << factor;
      EXPECT_LE(allocation.gap, 0.15) << seed << " x" << factor;
      exactly += allocation.loss == exact.allocation.loss ? 1 : 0;
      ++all;
      EXPECT_LE(exact.allocation.bytes, budget);
      EXPECT_TRUE(allocation.is_bound_by_bytes);
    }
  }
  EXPECT_GT(all, 15);
  EXPECT_GE(exactly, all * 9 / 10);
}

TEST(ExactAllocationTest, ExactIsTheBestOfAllChoices) {
  RandomStream stream({.seed = 4});
  for (int i = 0; i < 300; ++i) {
    const Layers layers = random_layers(stream, i % 2 == 0);
    const std::int64_t budget = random_bytes(ends_of(layers), stream);
    const ExactAllocation exact = exact_allocation(layers, budget);
    const double least = brute_force(layers, {.bytes = budget});
    ASSERT_TRUE(exact.is_exact);
    ASSERT_EQ(exact.allocation.is_feasible, least < kNone);
    if (least == kNone) continue;
    ASSERT_NEAR(exact.allocation.loss, least, 1e-12 * least);
    ASSERT_EQ(exact.allocation.loss, sum_of_losses(layers, exact.allocation.choice));
    ASSERT_EQ(exact.allocation.gap, 0.0);
    ASSERT_LE(exact.allocation.bytes, budget);
  }
}

TEST(ExactAllocationTest, AFrontThatWasCutIsNotCalledExact) {
  const Layers layers = synthetic_layers(3);
  const std::int64_t budget = dense_bytes(layers) / 24;
  const ExactAllocation whole = exact_allocation(layers, budget);
  ASSERT_TRUE(whole.is_exact);
  ASSERT_GT(whole.largest_front, 1);
  const ExactAllocation cut = exact_allocation(layers, budget, 1);
  EXPECT_FALSE(cut.is_exact);
  EXPECT_GE(cut.allocation.loss, whole.allocation.loss);
  EXPECT_LE(cut.allocation.lower_bound, whole.allocation.loss);
  EXPECT_LE(cut.allocation.bytes, budget);
  EXPECT_THROW(exact_allocation(layers, budget, 0), ConfigError);
}

TEST(ExactAllocationTest, FortyLayersOfFortyCandidatesAreSolvedExactly) {
  Layers layers = large_layers(4);
  layers.resize(40);
  for (LayerCandidates& candidates : layers) candidates.resize(40);
  const Ends ends = ends_of(layers);
  for (const std::int64_t part : {3, 6, 12}) {
    const std::int64_t budget = ends.least_bytes + (ends.most_bytes - ends.least_bytes) / part;
    const ExactAllocation exact = exact_allocation(layers, budget);
    EXPECT_TRUE(exact.is_exact) << exact.largest_front;
    const Allocation allocation = allocate(layers, {.bytes = budget});
    EXPECT_GE(exact.allocation.loss, allocation.lower_bound);
    EXPECT_LE(exact.allocation.loss, allocation.loss);
  }
}

}  // namespace
}  // namespace coppice
