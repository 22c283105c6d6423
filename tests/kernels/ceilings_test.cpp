#include "kernels/ceilings.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/integer/integer.h"

namespace coppice::kernels {
namespace {

// 12 chains x <- 0.999 x + 0.001 from 0, 1, ..., 11 have 1 as their fixed point; the distance
// shrinks by 0.999 a round.
TEST(CeilingsTest, ChainsConvergeToTheirFixedPoint) {
  const MultiplyAdds done = multiply_add(20'000);
  const std::int64_t lanes = done.operations / 20'000 / 2;
  EXPECT_EQ(done.operations, 20'000 * lanes * 2);
  EXPECT_EQ(lanes % 12, 0);
  EXPECT_NEAR(done.result, static_cast<float>(lanes), 0.01F * static_cast<float>(lanes));
}

TEST(CeilingsTest, NoRoundsLeaveTheFirstValues) {
  const MultiplyAdds none = multiply_add(0);
  EXPECT_EQ(none.operations, 0);
  EXPECT_GT(none.result, 0.0F);  // a multiple of 0 + 1 + ... + 11
  EXPECT_EQ(static_cast<int>(none.result) % 66, 0);
}

TEST(CeilingsTest, PairsOfEveryInstructionSetAreAllAdded) {
  for (const IntegerKernels* kernels : all_integer_kernels()) {
    const CeilingLoops* loops = ceiling_loops(kernels->isa);
    ASSERT_NE(loops, nullptr) << kernels->isa;
    for (const std::int64_t rounds : {0, 1, 7, 100'000}) {
      const IntegerMultiplyAdds done = loops->integers(rounds);
      EXPECT_EQ(done.operations % (10 * 4), 0);
      const auto pairs = static_cast<std::uint64_t>(done.operations / 4);
      EXPECT_EQ(done.result, static_cast<std::uint32_t>(pairs * 255 * 227)) << kernels->isa;
      EXPECT_GE(done.operations, rounds * 10 * 4 * 4);
      EXPECT_EQ(loops->floats(rounds).operations % 12, 0);
    }
  }
  EXPECT_EQ(ceiling_loops("avx3"), nullptr);
}

TEST(CeilingsTest, MemoryLoopsEqualTheirScalarForms) {
  for (const std::int64_t n : {0, 2, 16, 18, 64, 66, 1000}) {
    const auto size = static_cast<std::size_t>(n);
    std::vector<float> x(size);
    for (std::size_t i = 0; i < size; ++i) x[i] = static_cast<float>(i) + 0.5F;
    std::vector<float> y(size, -1.0F);
    copy(x.data(), y.data(), n);
    EXPECT_EQ(x, y);
    scale_and_add(2.0F, x.data(), y.data(), n);
    std::uint64_t expected = 0;
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_EQ(y[i], x[i] + 2.0F * x[i]);
      std::uint32_t bits = 0;
      std::memcpy(&bits, &x[i], sizeof bits);
      expected += std::uint64_t{bits} << (i % 2 == 0 ? 0 : 32);
    }
    EXPECT_EQ(sum_words(x.data(), n), expected);
  }
}

}  // namespace
}  // namespace coppice::kernels
