#include "algorithms/allocation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "core/thread_time.h"
#include "tests/algorithms/allocation_cases.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

struct Found {
  int feasible = 0;
  int optimal = 0;
  double worst = 0.0;  // loss over the least, less 1
};

// Everything that an Allocation says about itself, beside all choices there are.
void expect_true(const Layers& layers, const Budget& budget, Found& found) {
  const Allocation allocation = allocate(layers, budget);
  const double least = brute_force(layers, budget);
  ASSERT_TRUE(allocation.is_certain);
  ASSERT_EQ(allocation.is_feasible, least < kNone);
  ASSERT_EQ(allocation.choice.size(), layers.size());
  ASSERT_EQ(allocation.loss, sum_of_losses(layers, allocation.choice));
  const Ends ends = ends_of(layers);
  ASSERT_EQ(allocation.least_bytes, ends.least_bytes);
  ASSERT_EQ(allocation.least_microseconds, ends.least_microseconds);
  const bool is_inside = is_within(budget, allocation.bytes, allocation.microseconds);
  ASSERT_EQ(is_inside, allocation.is_feasible);
  if (!allocation.is_feasible) {
    ASSERT_TRUE(allocation.is_bound_by_bytes || allocation.is_bound_by_microseconds);
    return;
  }
  ASSERT_LE(allocation.lower_bound, least);
  ASSERT_LE(least, allocation.loss);
  ASSERT_LE(allocation.loss * (1.0 - allocation.gap), least * (1.0 + 1e-12));
  ++found.feasible;
  found.optimal += allocation.loss == least ? 1 : 0;
  if (least > 0.0) found.worst = std::max(found.worst, allocation.loss / least - 1.0);
}

Found try_all(std::uint64_t seed, int count, bool has_bytes, bool has_microseconds) {
  RandomStream stream({.seed = seed});
  Found found;
  for (int i = 0; i < count; ++i) {
    const Layers layers = random_layers(stream, i % 2 == 0);
    const Ends ends = ends_of(layers);
    Budget budget;
    if (has_bytes) budget.bytes = random_bytes(ends, stream);
    if (has_microseconds) budget.microseconds = random_microseconds(ends, stream);
    SCOPED_TRACE(i);
    expect_true(layers, budget, found);
    if (::testing::Test::HasFatalFailure()) break;
  }
  return found;
}

TEST(AllocationTest, WithinBytesItIsBetweenItsBoundAndTheBestOfAllChoices) {
  const Found found = try_all(1, 600, true, false);
  EXPECT_GT(found.feasible, 450);
  EXPECT_GT(found.optimal, found.feasible * 9 / 10);
}

TEST(AllocationTest, WithinMicrosecondsItIsBetweenItsBoundAndTheBestOfAllChoices) {
  const Found found = try_all(2, 600, false, true);
  EXPECT_GT(found.feasible, 450);
  EXPECT_GT(found.optimal, found.feasible * 9 / 10);
}

TEST(AllocationTest, WithinBothItFindsAChoiceWheneverThereIsOne) {
  const Found found = try_all(3, 1500, true, true);
  EXPECT_GT(found.feasible, 700);
  EXPECT_LT(found.feasible, 1400);
  EXPECT_GT(found.optimal, found.feasible * 8 / 10);
}

TEST(AllocationTest, WithoutABudgetEveryLayerLosesItsLeast) {
  const Layers layers{{{2.0, 5, 1.0}, {1.0, 9, 9.0}, {1.0, 8, 9.0}}, {{0.5, 1, 1.0}}};
  const Allocation allocation = allocate(layers, {});
  EXPECT_EQ(allocation.choice, (Choice{2, 0}));
  EXPECT_EQ(allocation.loss, 1.5);
  EXPECT_EQ(allocation.gap, 0.0);
  EXPECT_FALSE(allocation.is_bound_by_bytes || allocation.is_bound_by_microseconds);
}

// One (density, bits) for all layers, the best that fits.
double uniform_loss(const Layers& layers, std::int64_t budget) {
  double best = kNone;
  for (std::size_t c = 0; c < layers[0].size(); ++c) {
    std::int64_t bytes = 0;
    for (const LayerCandidates& candidates : layers) bytes += candidates[c].bytes;
    const double loss = sum_of_losses(layers, Choice(layers.size(), static_cast<std::int64_t>(c)));
    if (bytes <= budget) best = std::min(best, loss);
  }
  return best;
}

TEST(AllocationTest, SharingOutBeatsOneSettingForAllLayers) {
  const Layers layers = synthetic_layers(1);
  for (const std::int64_t factor : {8, 16, 32}) {
    const std::int64_t budget = dense_bytes(layers) / factor;
    EXPECT_GT(uniform_loss(layers, budget), 1.3 * allocate(layers, {.bytes = budget}).loss);
  }
}

TEST(AllocationTest, ABudgetThatCannotBeMetNamesTheCheapest) {
  const Layers layers{{{1.0, 10, 5.0}, {9.0, 4, 7.0}}, {{1.0, 10, 5.0}, {9.0, 4, 7.0}}};
  const Allocation bytes = allocate(layers, {.bytes = 7});
  EXPECT_FALSE(bytes.is_feasible);
  EXPECT_EQ(bytes.choice, (Choice{1, 1}));
  EXPECT_EQ(bytes.bytes, 8);
  EXPECT_TRUE(bytes.is_bound_by_bytes);
  EXPECT_FALSE(bytes.is_bound_by_microseconds);

  const Allocation slow = allocate(layers, {.bytes = 20, .microseconds = 9.0});
  EXPECT_FALSE(slow.is_feasible);
  EXPECT_EQ(slow.choice, (Choice{0, 0}));
  EXPECT_FALSE(slow.is_bound_by_bytes);
  EXPECT_TRUE(slow.is_bound_by_microseconds);

  const Allocation both = allocate(layers, {.bytes = 14, .microseconds = 11.0});
  EXPECT_FALSE(both.is_feasible);
  EXPECT_TRUE(both.is_certain);
  EXPECT_TRUE(both.is_bound_by_bytes && both.is_bound_by_microseconds);
  EXPECT_EQ(both.least_bytes, 8);
  EXPECT_EQ(both.least_microseconds, 10.0);
}

// Mixtures of the two would fit (6 bytes, 6 us a layer); whole candidates do not, which only a
// search through the fronts can tell.
TEST(AllocationTest, MixturesThatFitAreNoChoice) {
  const Layers layers{{{1.0, 4, 8.0}, {1.0, 8, 4.0}}};
  const Allocation allocation = allocate(layers, {.bytes = 7, .microseconds = 7.0});
  EXPECT_FALSE(allocation.is_feasible);
  EXPECT_TRUE(allocation.is_certain);
  EXPECT_TRUE(allocation.is_bound_by_bytes && allocation.is_bound_by_microseconds);
}

TEST(AllocationTest, PricesSayWhatALittleMoreWouldSave) {
  const Layers layers = synthetic_layers(2);
  const std::int64_t budget = dense_bytes(layers) / 16;
  const Allocation at = allocate(layers, {.bytes = budget});
  const std::int64_t more = budget / 50;
  const Allocation above = allocate(layers, {.bytes = budget + more});
  const Allocation below = allocate(layers, {.bytes = budget - more});
  const auto saved = static_cast<double>(more);
  EXPECT_GT(below.lower_bound - at.lower_bound, 0.999 * saved * at.loss_per_byte);
  EXPECT_LT(at.lower_bound - above.lower_bound, 1.001 * saved * at.loss_per_byte);
  EXPECT_GT(at.lower_bound - above.lower_bound, 0.8 * saved * at.loss_per_byte);
}

TEST(AllocationTest, ALooseBudgetHasNoPrice) {
  const Layers layers{{{3.0, 1, 9.0}, {0.0, 5, 1.0}}, {{3.0, 1, 9.0}, {1.0, 5, 1.0}}};
  const Allocation allocation = allocate(layers, {.bytes = 6, .microseconds = 1000.0});
  EXPECT_EQ(allocation.choice, (Choice{1, 0}));
  EXPECT_GT(allocation.loss_per_byte, 0.0);
  EXPECT_EQ(allocation.loss_per_microsecond, 0.0);
  EXPECT_TRUE(allocation.is_bound_by_bytes);
  EXPECT_FALSE(allocation.is_bound_by_microseconds);
  const Allocation free = allocate(layers, {.bytes = 10, .microseconds = 2.0});
  EXPECT_EQ(free.loss, 1.0);
  EXPECT_EQ(free.gap, 0.0);
  EXPECT_FALSE(free.is_bound_by_bytes);
}

TEST(AllocationTest, DegenerateLayersAreAllocatedToo) {
  EXPECT_EQ(allocate(Layers{}, {.bytes = 0}).loss, 0.0);
  EXPECT_TRUE(allocate(Layers{}, {.bytes = 0}).is_feasible);
  const Layers single{{{2.0, 3, 1.0}}, {{0.0, 0, 0.0}}};
  EXPECT_TRUE(allocate(single, {.bytes = 3, .microseconds = 1.0}).is_feasible);
  EXPECT_FALSE(allocate(single, {.bytes = 2}).is_feasible);
  const Layers free{{{0.0, 4, 1.0}, {0.0, 4, 1.0}}, {{0.0, 7, 1.0}, {0.0, 5, 1.0}}};
  const Allocation none = allocate(free, {.bytes = 9});
  EXPECT_EQ(none.choice, (Choice{0, 1}));
  EXPECT_EQ(none.gap, 0.0);
  EXPECT_EQ(none.lower_bound, 0.0);
  const Layers equal_costs{{{3.0, 4, 1.0}, {1.0, 4, 1.0}, {2.0, 4, 1.0}}};
  EXPECT_EQ(allocate(equal_costs, {.bytes = 4, .microseconds = 1.0}).choice, (Choice{1}));
  const Layers wide{{{1.0, std::int64_t{1} << 53, 0.0}}};
  EXPECT_TRUE(allocate(wide, {.bytes = std::int64_t{1} << 53}).is_feasible);
  EXPECT_FALSE(allocate(wide, {.bytes = (std::int64_t{1} << 53) - 1}).is_feasible);
  EXPECT_TRUE(allocate(wide, {.bytes = INT64_MAX}).is_feasible);
}

TEST(AllocationTest, TimesThatDifferInTheirLastBitsAreNoDanger) {
  const double one = 1.0;
  const double next = std::nextafter(one, 2.0);
  const Layers layers{{{5.0, 1, one}, {1.0, 1, next}}, {{5e300, 1, 0.0}, {1.0, 1, 5e-324}}};
  const Allocation allocation = allocate(layers, {.bytes = 2, .microseconds = 1.0});
  EXPECT_TRUE(allocation.is_feasible);
  EXPECT_LE(allocation.microseconds, 1.0);
  EXPECT_TRUE(std::isfinite(allocation.lower_bound));
  EXPECT_TRUE(std::isfinite(allocation.loss_per_microsecond));
}

TEST(AllocationTest, TiesAndRepetitionsGiveOneAnswer) {
  RandomStream stream({.seed = 5});
  for (int i = 0; i < 50; ++i) {
    Layers layers = random_layers(stream, true);
    const Ends ends = ends_of(layers);
    const Budget budget{(ends.least_bytes + ends.most_bytes) / 2,
                        (ends.least_microseconds + ends.most_microseconds) / 2.0};
    const Allocation once = allocate(layers, budget);
    EXPECT_EQ(once.choice, allocate(layers, budget).choice);
    // A copy behind the list changes nothing: of equal ones the first is taken.
    for (LayerCandidates& candidates : layers) candidates.push_back(candidates.front());
    EXPECT_EQ(once.choice, allocate(layers, budget).choice);
  }
}

TEST(AllocationTest, FrontierFallsAsBudgetsGrow) {
  const Layers layers = synthetic_layers(6);
  std::vector<std::int64_t> budgets;
  for (const std::int64_t percent : {90, 20, 3, 5, 6, 7, 40, 10, 1})
    budgets.push_back(dense_bytes(layers) * percent / 100);
  const std::vector<Allocation> points = frontier(layers, budgets);
  ASSERT_EQ(points.size(), budgets.size());
  for (std::size_t a = 0; a < budgets.size(); ++a) {
    EXPECT_EQ(points[a].is_feasible, points[a].bytes <= budgets[a]);
    for (std::size_t b = 0; b < budgets.size(); ++b) {
      if (budgets[a] >= budgets[b] || !points[a].is_feasible) continue;
      EXPECT_GE(points[a].loss, points[b].loss);
      EXPECT_GE(points[a].lower_bound, points[b].lower_bound);
    }
  }
  EXPECT_FALSE(points.back().is_feasible);
  EXPECT_TRUE(points.front().is_feasible);
}

TEST(AllocationTest, WhatIsNoNumberIsRefusedByLayerAndCandidate) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refusal = [](const Candidate& bad) {
    const Layers layers{{{1.0, 1, 1.0}}, {{1.0, 1, 1.0}, bad}};
    return thrown_text<ConfigError>([&] { allocate(layers, {.bytes = 9}); });
  };
  EXPECT_TRUE(contains(refusal({nan, 1, 1.0}), "layer 1, candidate 1: expected a loss"));
  EXPECT_TRUE(contains(refusal({-1.0, 1, 1.0}), "got -1"));
  EXPECT_TRUE(contains(refusal({kNone, 1, 1.0}), "got inf"));
  EXPECT_TRUE(contains(refusal({1.0, -3, 1.0}), "bytes, got -3"));
  EXPECT_TRUE(contains(refusal({1.0, INT64_MAX, 1.0}), "2^53"));
  EXPECT_TRUE(contains(refusal({1.0, 1, nan}), "expected a time"));
  const Layers empty{{{1.0, 1, 1.0}}, {}};
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocate(empty, {}); }), "layer 1"));
  const Layers many(3, LayerCandidates{{1.0, std::int64_t{1} << 52, 1.0}});
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocate(many, {}); }), "2^53"));
  const Layers good{{{1.0, 1, 1.0}}};
  EXPECT_THROW(allocate(good, {.bytes = -1}), ConfigError);
  EXPECT_THROW(allocate(good, {.microseconds = nan}), ConfigError);
  EXPECT_THROW(allocate(good, {.microseconds = -0.5}), ConfigError);
}

double median_milliseconds(const Layers& layers, const Budget& budget) {
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    const double start = thread_seconds();
    const Allocation allocation = allocate(layers, budget);
    times.push_back(1e3 * (thread_seconds() - start));
    EXPECT_TRUE(allocation.is_feasible);
    EXPECT_LT(allocation.gap, 0.05);
  }
  std::ranges::sort(times);
  return times[2];
}

TEST(AllocationTest, SixtyLayersOfFiftyCandidatesTakeMilliseconds) {
#if defined(__OPTIMIZE__) && !defined(_GLIBCXX_ASSERTIONS)
  constexpr double kMost = 20.0;
#else
  constexpr double kMost = 2000.0;  // checked builds
#endif
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Layers layers = large_layers(seed);
    const Ends ends = ends_of(layers);
    const std::int64_t bytes = ends.least_bytes + (ends.most_bytes - ends.least_bytes) / 6;
    const double microseconds =
        ends.least_microseconds + (ends.most_microseconds - ends.least_microseconds) / 4.0;
    const double one = median_milliseconds(layers, {.bytes = bytes});
    const double two = median_milliseconds(layers, {.bytes = bytes, .microseconds = microseconds});
    RecordProperty("one_budget_ms", std::to_string(one));
    RecordProperty("two_budgets_ms", std::to_string(two));
    EXPECT_LT(one, kMost);
    EXPECT_LT(two, kMost);
  }
}

}  // namespace
}  // namespace coppice
