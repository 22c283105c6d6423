#include "deploy/runtime/planner.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace coppice::runtime {
namespace {

TEST(PlannerTest, AChainNeedsItsTwoLargestNeighbours) {
  const std::vector<LiveTensor> chain{{64, 0, 1}, {256, 1, 2}, {128, 2, 3}, {16, 3, 4}};
  const ArenaPlan plan = plan_arena(chain);
  EXPECT_EQ(plan.bytes, 256 + 128);
  EXPECT_EQ(plan.offsets, (std::vector<std::int64_t>{256, 0, 256, 0}));
}

TEST(PlannerTest, LiveTensorsNeverOverlap) {
  RandomStream random({.task = 3});
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<LiveTensor> tensors(1 + random.next_below(40));
    std::int64_t sum = 0;
    for (LiveTensor& tensor : tensors) {
      tensor.bytes = static_cast<std::int64_t>(random.next_below(1000));
      tensor.first_step = static_cast<int>(random.next_below(20));
      tensor.last_step = tensor.first_step + static_cast<int>(random.next_below(8));
      sum += tensor.bytes + kTensorAlignment;
    }
    const ArenaPlan plan = plan_arena(tensors);
    EXPECT_LE(plan.bytes, sum);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % kTensorAlignment, 0);
      EXPECT_LE(plan.offsets[i] + tensors[i].bytes, plan.bytes);
      for (std::size_t j = 0; j < i; ++j) {
        const bool lives_together = tensors[i].first_step <= tensors[j].last_step &&
                                    tensors[j].first_step <= tensors[i].last_step;
        const bool overlaps = plan.offsets[i] < plan.offsets[j] + tensors[j].bytes &&
                              plan.offsets[j] < plan.offsets[i] + tensors[i].bytes;
        ASSERT_FALSE(lives_together && overlaps && tensors[i].bytes > 0 && tensors[j].bytes > 0);
      }
    }
  }
}

}  // namespace
}  // namespace coppice::runtime
