#include "core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

namespace coppice {
namespace {

using Words = std::array<std::uint32_t, 4>;

RandomStream stream_of(std::int64_t task) {
  return RandomStream({.seed = 7, .purpose = Purpose::kGenerated, .client = 3, .task = task});
}

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

// Over `count` draws.
template <typename Draw>
Moments moments_of(int count, Draw&& draw) {
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < count; ++i) {
    const double value = draw();
    sum += value;
    squares += value * value;
  }
  const double mean = sum / count;
  return {mean, squares / count - mean * mean};
}

// Salmon et al.'s published vectors (Random123, kat_vectors, philox4x32 10 rounds).
TEST(RandomTest, PhiloxGivesThePublishedWords) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomTest, SeekIsTheSameAsSkipping) {
  std::vector<std::uint32_t> words(41);
  RandomStream forward = stream_of(1);
  for (std::uint32_t& word : words) word = forward.next_u32();
  RandomStream jumping = stream_of(1);
  for (const std::size_t at : {40U, 0U, 17U, 4U, 3U, 21U, 39U}) {
    jumping.seek(at);
    for (std::size_t i = at; i < words.size(); ++i) ASSERT_EQ(jumping.next_u32(), words[i]) << at;
  }
}

TEST(RandomTest, FarSeekReachesBlocksBeyondThe32BitCounter) {
  RandomStream near = stream_of(1);
  RandomStream far = stream_of(1);
  far.seek(std::uint64_t{4} << 32U);  // block 2^32: the counter's second word
  EXPECT_NE(near.next_u64(), far.next_u64());
}

TEST(RandomTest, FillGivesTheWordsOfSoManyCalls) {
  for (const std::uint64_t begin :
       {0ULL, 3ULL, (4ULL << 32U) - 8}) {  // blocks pass 2^32 in the last
    for (const std::size_t n : {0U, 1U, 15U, 16U, 17U, 64U, 100U}) {
      RandomStream one({.seed = 9, .client = 4, .task = 2});
      one.seek(begin);
      RandomStream other = one;
      std::vector<std::uint32_t> words(n);
      one.fill(words);
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(words[i], other.next_u32()) << n << " at " << i;
      ASSERT_EQ(one.next_u32(), other.next_u32()) << n;
    }
  }
}

TEST(RandomTest, StreamsOfAnotherSeedPurposeClientOrTaskDiffer) {
  std::set<std::uint64_t> first;
  int streams = 0;
  for (const std::uint64_t seed : {0U, 1U}) {
    for (const Purpose purpose :
         {Purpose::kInitialWeights, Purpose::kBatchOrder, Purpose::kCohort}) {
      for (const std::int64_t client : {-1, 0, 1}) {
        for (const std::int64_t task : {0, 1, 2}) {
          first.insert(RandomStream({seed, purpose, client, task}).next_u64());
          ++streams;
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(first.size()), streams);
}

TEST(RandomTest, CopiesOfAStreamAreIndependent) {
  RandomStream one = stream_of(2);
  one.next_u32();
  RandomStream two = one;
  const std::uint32_t expected = one.next_u32();
  one.next_u32();
  EXPECT_EQ(two.next_u32(), expected);
}

// Means of n draws: tolerance 5 standard errors. The stream is fixed, so this either holds or does
// not.
TEST(RandomTest, UniformsHaveTheMomentsOfAUniformAndStayBelowOne) {
  constexpr int kDraws = 100'000;
  RandomStream stream = stream_of(3);
  double largest = 0.0;
  double smallest = 1.0;
  const Moments uniform = moments_of(kDraws, [&] {
    const double value = stream.next_uniform();
    largest = std::max(largest, value);
    smallest = std::min(smallest, value);
    return value;
  });
  EXPECT_NEAR(uniform.mean, 0.5, 5.0 * std::sqrt(1.0 / 12.0 / kDraws));
  EXPECT_NEAR(uniform.variance, 1.0 / 12.0, 5.0 * std::sqrt(1.0 / 180.0 / kDraws));
  EXPECT_GE(smallest, 0.0);
  EXPECT_LT(largest, 1.0);
  const Moments precise = moments_of(kDraws, [&] { return stream.next_uniform_double(); });
  EXPECT_NEAR(precise.mean, 0.5, 5.0 * std::sqrt(1.0 / 12.0 / kDraws));
}

TEST(RandomTest, NormalsHaveTheMomentsOfAStandardNormal) {
  constexpr int kDraws = 100'000;
  RandomStream stream = stream_of(4);
  double fourth = 0.0;
  const Moments normal = moments_of(kDraws, [&] {
    const double value = stream.next_normal();
    fourth += std::pow(value, 4.0) / kDraws;
    return value;
  });
  EXPECT_NEAR(normal.mean, 0.0, 5.0 / std::sqrt(kDraws));
  EXPECT_NEAR(normal.variance, 1.0, 5.0 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(fourth, 3.0, 5.0 * std::sqrt(96.0 / kDraws));
}

TEST(RandomTest, GammasHaveMeanAndVarianceOfTheirShape) {
  constexpr int kDraws = 20'000;
  for (const double shape : {0.1, 0.5, 1.0, 2.5, 20.0}) {
    RandomStream stream = stream_of(5);
    const Moments gamma = moments_of(kDraws, [&] { return stream.next_gamma(shape); });
    EXPECT_NEAR(gamma.mean, shape, 5.0 * std::sqrt(shape / kDraws)) << shape;
    // Variance of the sample variance: (mu4 - sigma^4) / n with mu4 = 3 shape^2 + 6 shape.
    EXPECT_NEAR(gamma.variance, shape,
                5.0 * std::sqrt((2.0 * shape * shape + 6.0 * shape) / kDraws))
        << shape;
  }
}

// chi^2 with 6 degrees of freedom is below 22.5 with probability 0.999.
TEST(RandomTest, NextBelowIsUniformOverItsRange) {
  constexpr int kDraws = 70'000;
  RandomStream stream = stream_of(6);
  std::array<int, 7> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(stream.next_below(7));
  double chi2 = 0.0;
  for (const int count : counts) chi2 += std::pow(count - kDraws / 7.0, 2.0) / (kDraws / 7.0);
  EXPECT_LT(chi2, 22.5);
}

// Without rejection, values below 2^63 would come twice as often as the others.
TEST(RandomTest, NextBelowHasNoModuloBias) {
  constexpr std::uint64_t kBound = 3ULL << 62U;
  RandomStream stream = stream_of(7);
  int low = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t value = stream.next_below(kBound);
    ASSERT_LT(value, kBound);
    low += value < kBound / 3 ? 1 : 0;
  }
  EXPECT_NEAR(low, 10'000, 5.0 * std::sqrt(30'000 * 2.0 / 9.0));
  EXPECT_EQ(stream.next_below(1), 0U);
}

TEST(RandomTest, PermutationHoldsEveryNumberOnceAndEveryOrderAppears) {
  RandomStream stream = stream_of(8);
  std::vector<std::int64_t> order = random_permutation(1000, stream);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<std::int64_t>(i));
  std::set<std::vector<std::int64_t>> orders;
  for (int i = 0; i < 200; ++i) orders.insert(random_permutation(3, stream));
  EXPECT_EQ(orders.size(), 6U);
  EXPECT_TRUE(random_permutation(0, stream).empty());
}

}  // namespace
}  // namespace coppice
