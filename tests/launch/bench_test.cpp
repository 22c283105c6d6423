#include "launch/bench/bench.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

TEST(BenchTest, ASpreadIsMedianSmallestAndLargest) {
  const Spread odd = spread_of({5.0, 1.0, 3.0});
  EXPECT_EQ(odd.median, 3.0);
  EXPECT_EQ(odd.min, 1.0);
  EXPECT_EQ(odd.max, 5.0);
  EXPECT_EQ(spread_of({4.0, 1.0, 2.0, 9.0}).median, 3.0);
  EXPECT_EQ(spread_of({7.0}).median, 7.0);
}

}  // namespace
}  // namespace coppice
