// Samples that a grid would make look harmless.
#include "client/input_range.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tests/models/input_specs.h"

namespace coppice {
namespace {

Graph plain() { return Graph::build(numbers({2}), {{"linear", "out", {}, {.out = 2}}}); }

Graph normalized() {
  return Graph::build(numbers({2}), {{"normalize", "scaled", {}, {.mean = 100, .deviation = 10}},
                                     {"linear", "out", {}, {.out = 2}}});
}

// Of `values`, two a sample.
RefusalReason verdict(const Graph& graph, const QuantPlan& plan, std::vector<float> values) {
  const SampleSource source{.size = std::ssize(values) / 2,
                            .samples =
                                [&](std::span<const std::int64_t> indices, std::span<float> out) {
                                  for (std::size_t i = 0; i < indices.size(); ++i) {
                                    for (std::size_t f = 0; f < 2; ++f)
                                      out[2 * i + f] =
                                          values[2 * static_cast<std::size_t>(indices[i]) + f];
                                  }
                                },
                            .labels = {}};
  return hidden_by_grid(graph, plan, source);
}

// Codes 0 to 255 stand for -1 to 1.55: the middle is 0.275, the width 2.55.
QuantPlan grid_of(const char* node) {
  QuantPlan plan;
  plan.activations = {{.node = node, .scale = 0.01F, .zero_point = 100}};
  return plan;
}

TEST(InputRangeTest, ValuesNearTheGridPassAndFarOnesDoNot) {
  const QuantPlan plan = grid_of("input");
  EXPECT_EQ(verdict(plain(), plan, {0.0F, 1.0F, -1.0F, 5.0F}), RefusalReason::kNone);
  EXPECT_EQ(verdict(plain(), plan, {0.0F, 2540.0F}), RefusalReason::kNone);
  EXPECT_EQ(verdict(plain(), plan, {0.0F, 2560.0F}), RefusalReason::kOutOfRange);
  EXPECT_EQ(verdict(plain(), plan, {-2560.0F, 0.0F}), RefusalReason::kOutOfRange);
  EXPECT_EQ(verdict(plain(), plan, {std::numeric_limits<float>::max(), 0.0F}),
            RefusalReason::kOutOfRange);
}

TEST(InputRangeTest, EverySampleIsLookedAt) {
  std::vector<float> values(2 * 600);
  EXPECT_EQ(verdict(plain(), grid_of("input"), values), RefusalReason::kNone);
  values.back() = std::nanf("");
  EXPECT_EQ(verdict(plain(), grid_of("input"), values), RefusalReason::kNotFinite);
}

TEST(InputRangeTest, GridOfTheNormalisationCounts) {
  const QuantPlan plan = grid_of("scaled");
  EXPECT_EQ(verdict(normalized(), plan, {100.0F, 25'000.0F}), RefusalReason::kNone);
  EXPECT_EQ(verdict(normalized(), plan, {100.0F, 26'000.0F}), RefusalReason::kOutOfRange);
}

TEST(InputRangeTest, WithoutAGridTrainingItselfTells) {
  EXPECT_EQ(verdict(plain(), {}, {std::nanf(""), 0.0F}), RefusalReason::kNone);
}

}  // namespace
}  // namespace coppice
