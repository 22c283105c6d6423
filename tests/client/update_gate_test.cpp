#include "client/update_gate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace coppice {
namespace {

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
