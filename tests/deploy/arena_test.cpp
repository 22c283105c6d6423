// The buffer planner's promise for the programs of the zoo: its peak is what a run writes.

#include <gtest/gtest.h>

#include "deploy/lower.h"
#include "deploy/runtime/arena_use.h"
#include "tests/deploy/zoo_models.h"

namespace coppice {
namespace {

class ArenaTest : public ::testing::TestWithParam<std::pair<const char*, Shape>> {};

void expect_planned_is_written(const Checkpoint& checkpoint, const std::vector<float>& sample) {
  runtime::Engine engine(lower(checkpoint));
  EXPECT_NE(engine.isa(), "reference");
  const runtime::ArenaUse use = arena_use(engine, sample);
  EXPECT_EQ(use.planned_bytes, engine.peak_activation_bytes());
  EXPECT_LE(use.high_water_bytes, use.planned_bytes);
  EXPECT_GE(static_cast<double>(use.high_water_bytes),
            0.95 * static_cast<double>(use.planned_bytes));
  EXPECT_GE(static_cast<double>(use.written_bytes), 0.95 * static_cast<double>(use.planned_bytes));
}

TEST_P(ArenaTest, ThePredictedPeakIsWithinFivePercentOfWhatARunWrites) {
  const auto& [name, input] = GetParam();
  Checkpoint checkpoint = checkpoint_of(zoo(name, input));
  const std::vector<float> samples = random_samples(checkpoint.graph, 4);
  const std::vector<float> one(samples.begin(), samples.begin() + element_count(input));
  expect_planned_is_written(checkpoint, one);
  quantize(checkpoint, samples, 8);
  expect_planned_is_written(checkpoint, one);
}

INSTANTIATE_TEST_SUITE_P(Zoo, ArenaTest,
                         ::testing::Values(std::pair("lenet5", Shape{1, 28, 28}),
                                           std::pair("mlp", Shape{1, 28, 28}),
                                           std::pair("resnet20", Shape{3, 16, 16}),
                                           std::pair("resnet20", Shape{1, 28, 28})),
                         [](const auto& one) {
                           return std::string(one.param.first) + "_" +
                                  std::to_string(one.param.second.back());
                         });

}  // namespace
}  // namespace coppice
