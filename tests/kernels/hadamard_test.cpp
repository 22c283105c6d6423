#include "kernels/hadamard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/kernels/step_case.h"

namespace coppice::kernels {
namespace {

// Small integers, so that every sum is exact and the definition can be met to the bit.
std::vector<float> integers(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>((i * 7919) % 101) - 50.0F;
  return values;
}

TEST(HadamardTest, IsTheDefinitionAtEverySize) {
  for (std::int64_t n = kSmallestHadamard; n <= 1024; n *= 2) {
    for (const std::int64_t misalignment : kMisalignments) {
      const std::vector<float> values = integers(n);
      std::vector<float> shifted(static_cast<std::size_t>(misalignment));
      shifted.insert(shifted.end(), values.begin(), values.end());
      walsh_hadamard(shifted.data() + misalignment, n);
      for (std::uint64_t i = 0; i < values.size(); ++i) {
        float expected = 0.0F;
        for (std::uint64_t j = 0; j < values.size(); ++j)
          expected += std::popcount(i & j) % 2 == 0 ? values[j] : -values[j];
        ASSERT_EQ(shifted[i + static_cast<std::size_t>(misalignment)], expected)
            << n << " at " << i;
      }
    }
  }
}

TEST(HadamardTest, TwiceIsTheSizeTimesTheValues) {
  for (std::int64_t n = kSmallestHadamard; n <= 8192; n *= 2) {
    std::vector<float> values = integers(n);
    const std::vector<float> before = values;
    walsh_hadamard(values.data(), n);
    walsh_hadamard(values.data(), n);
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], static_cast<float>(n) * before[i]) << n << " at " << i;
  }
}

TEST(HadamardTest, SignsFlipWhereBitsAreSet) {
  for (const std::int64_t n : {0, 32, 64, 4096}) {
    std::mt19937 generator(1);
    std::vector<std::uint32_t> words(static_cast<std::size_t>(n / 32));
    for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(generator());
    std::vector<float> values(static_cast<std::size_t>(n), 0.0F);
    flip_signs(words.data(), n, values.data());
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(std::signbit(values[i]), ((words[i / 32] >> (i % 32)) & 1U) != 0) << i;
  }
}

}  // namespace
}  // namespace coppice::kernels
