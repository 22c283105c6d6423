#include "client/update_gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace coppice {
namespace {

TEST(UpdateGateTest, NormIsTheLengthOfTheUpdate) {
  EXPECT_EQ(update_norm(std::vector{3.0F, 0.0F, -4.0F}), 5.0);
  EXPECT_EQ(update_norm({}), 0.0);
  // fp32 squares would overflow or vanish
  EXPECT_NEAR(update_norm(std::vector{3e30F, 4e30F}), 5e30, 5e30 * 1e-6);
  EXPECT_NEAR(update_norm(std::vector{3e-30F, 4e-30F}), 5e-30, 5e-30 * 1e-6);
}

TEST(UpdateGateTest, OneBadValueMakesTheNormBad) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    EXPECT_FALSE(std::isfinite(update_norm(std::vector{1.0F, bad, 1.0F})));
  }
}

TEST(UpdateGateTest, GateRefusesWhatIsNotFiniteOrAboveTheBound) {
  ClientTask task;
  EXPECT_EQ(gate(1e300, task), RefusalReason::kNone);  // no bound
  EXPECT_EQ(gate(std::nan(""), task), RefusalReason::kNotFinite);
  EXPECT_EQ(gate(HUGE_VAL, task), RefusalReason::kNotFinite);
  task.norm_bound = 2.0;
  EXPECT_EQ(gate(2.0, task), RefusalReason::kNone);
  EXPECT_EQ(gate(std::nextafter(2.0, 3.0), task), RefusalReason::kNormAboveBound);
  EXPECT_EQ(gate(HUGE_VAL, task), RefusalReason::kNotFinite);
}

}  // namespace
}  // namespace coppice
