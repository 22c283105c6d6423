#include "kernels/codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <utility>

#include "tests/kernels/step_case.h"

namespace coppice::kernels {
namespace {

template <typename T>
std::vector<T> random_integers(std::int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<T> values(static_cast<std::size_t>(n));
  for (T& value : values) value = static_cast<T>(generator());
  return values;
}

TEST(CodesTest, OneValueThatIsNotFiniteIsFoundAnywhere) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      Array values(n, misalignment, 1, -FLT_MAX / 2, FLT_MAX / 2);
      EXPECT_TRUE(all_finite(values.data(), n));
      for (std::int64_t i = 0; i < n; i += 7) {
        for (const float bad : {NAN, INFINITY, -INFINITY}) {
          const float good = std::exchange(values.data()[i], bad);
          EXPECT_FALSE(all_finite(values.data(), n)) << n << " at " << i;
          values.data()[i] = good;
        }
      }
    }
  }
}

TEST(CodesTest, LargestMagnitudeAndDotAreThoseOfThePlainLoops) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      Array a(n, misalignment, 2), b(n, misalignment, 3);
      float largest = 0.0F;
      double product = 0.0;
      for (std::int64_t i = 0; i < n; ++i) {
        largest = std::max(largest, std::abs(a[i]));
        product += static_cast<double>(a[i]) * static_cast<double>(b[i]);
      }
      EXPECT_EQ(largest_magnitude(a.data(), n), largest);
      EXPECT_NEAR(dot(a.data(), b.data(), n), product, 1e-12 * static_cast<double>(n + 1));
      Array other(n, 0, 2);
      EXPECT_EQ(dot(a.data(), b.data(), n), dot(other.data(), b.data(), n)) << "misaligned " << n;
    }
  }
}

TEST(CodesTest, RoundingIsTheFloorOfValueOverScalePlusUniform) {
  for (const std::int64_t n : kLengths) {
    for (const std::int64_t misalignment : kMisalignments) {
      Array values(n, misalignment, 4);
      const auto words = random_integers<std::uint32_t>(n, 5);
      std::vector<std::int8_t> codes(static_cast<std::size_t>(n));
      const float scale = 1.0F / 127.0F;
      round_to_codes(values.data(), words.data(), scale, n, codes.data());
      for (std::int64_t i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const double uniform = words[k] * 0x1p-32;
        ASSERT_EQ(codes[k],
                  std::floor(static_cast<double>(values[i]) / static_cast<double>(scale) + uniform))
            << n << " at " << i;
      }
    }
  }
}

TEST(CodesTest, RoundingAtTheEdges) {
  const float values[] = {1.0F, 1.0F, -1e-30F, -1e-30F, -1.0F, 0.5F, 0.5F};
  const std::uint32_t words[] = {0, UINT32_MAX, 0, UINT32_MAX, 0, 0x7FFFFFFF, 0x80000000};
  std::int8_t codes[7];
  round_to_codes(values, words, 1.0F, 7, codes);
  EXPECT_EQ(std::vector<int>(codes, codes + 7), (std::vector<int>{1, 1, -1, 0, -1, 0, 1}));
  round_to_codes(values, words, 0.0F, 7, codes);
  EXPECT_EQ(std::vector<int>(codes, codes + 7), std::vector<int>(7));
}

TEST(CodesTest, ValuesStayFinite) {
  const std::int8_t codes[] = {-127, 0, 1, 127};
  float out[4];
  codes_to_values(codes, FLT_MAX / 126.0F, 4, out);
  EXPECT_EQ(out[0], -FLT_MAX);
  EXPECT_EQ(out[1], 0.0F);
  EXPECT_EQ(out[2], FLT_MAX / 126.0F);
  EXPECT_EQ(out[3], FLT_MAX);
  const float values[] = {FLT_MAX, -FLT_MAX, 3.0F, FLT_TRUE_MIN};
  scale_values(values, 2.0, 4, out);
  EXPECT_EQ(std::vector<float>(out, out + 4),
            (std::vector<float>{FLT_MAX, -FLT_MAX, 6.0F, 2 * FLT_TRUE_MIN}));
}

TEST(CodesTest, PackedCodesComeBackAndTheFirstLiesLowest) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t n : {0, 8, 16, 24, 64, 1000}) {
      auto codes = random_integers<std::uint8_t>(n, 6);
      for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(code & ((1 << bits) - 1));
      std::vector<std::uint8_t> packed(static_cast<std::size_t>(n * bits / 8)), back(codes.size());
      pack_codes(codes.data(), bits, n, packed.data());
      for (std::int64_t bit = 0; bit < n * bits; ++bit) {
        const auto code = codes[static_cast<std::size_t>(bit / bits)];
        ASSERT_EQ((packed[static_cast<std::size_t>(bit / 8)] >> (bit % 8)) & 1,
                  (code >> (bit % bits)) & 1)
            << bits << " bits, bit " << bit;
      }
      unpack_codes(packed.data(), bits, n, back.data());
      ASSERT_EQ(back, codes) << bits;
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
