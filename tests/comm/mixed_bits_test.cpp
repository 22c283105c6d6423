// Rotated updates within a limit of bytes: bits go where they take most error away.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "comm/codec.h"
#include "comm/codecs/block_bits.h"
#include "comm/codecs/rotated.h"
#include "comm/wire.h"
#include "core/error.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Relative squared errors of 1 to 8 bits, as in rotated_codec_test.cpp.
constexpr double kDistortions[] = {0.363380,   0.117482,   0.0345478,  0.00950101,
                                   0.00250467, 6.44240e-4, 1.63478e-4, 4.11851e-5};

double error_of(const std::vector<BlockShare>& blocks, const std::vector<std::uint8_t>& bits) {
  double sum = 0.0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (bits[i] == 0) continue;
    const double distortion = kDistortions[bits[i] - 1];
    sum += blocks[i].square * distortion / (1.0 - distortion);
  }
  return sum;
}

std::size_t bytes_of(const std::vector<BlockShare>& blocks, const std::vector<std::uint8_t>& bits) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) sum += blocks[i].codes * bits[i] / 8;
  return sum;
}

// Against every choice there is, of equal blocks and four bits at most.
TEST(BlockBitsTest, AreTheBestOfAllThatFit) {
  RandomStream stream({.seed = 4});
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<BlockShare> blocks(4);
    for (BlockShare& block : blocks) block = {.square = stream.next_gamma(0.5), .codes = 512};
    const std::size_t budget = 64 * (4 + stream.next_below(9));
    const std::vector<std::uint8_t> given = bits_within(blocks, budget);
    ASSERT_LE(bytes_of(blocks, given), budget);
    double best = error_of(blocks, given);
    std::vector<std::uint8_t> bits(4);
    for (int choice = 0; choice < 8 * 8 * 8 * 8; ++choice) {
      for (int i = 0, rest = choice; i < 4; ++i, rest /= 8)
        bits[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(1 + rest % 8);
      if (bytes_of(blocks, bits) <= budget) best = std::min(best, error_of(blocks, bits));
    }
    EXPECT_NEAR(error_of(blocks, given), best, 1e-12) << trial;
  }
}

TEST(BlockBitsTest, BlocksOfZerosHaveNoneAndEqualOnesTheSame) {
  std::vector<BlockShare> blocks(5, {.square = 1.0, .codes = 512});
  blocks[2].square = 0.0;
  EXPECT_EQ(bits_within(blocks, 4 * 64 * 3), (std::vector<std::uint8_t>{3, 3, 0, 3, 3}));
  EXPECT_EQ(bits_within(blocks, 4 * 64 * 3 + 64), (std::vector<std::uint8_t>{4, 3, 0, 3, 3}));
  EXPECT_EQ(bits_within(blocks, 1 << 20), (std::vector<std::uint8_t>{8, 8, 0, 8, 8}));
  EXPECT_EQ(bits_within(blocks, 0), (std::vector<std::uint8_t>{1, 1, 0, 1, 1}));
}

// Like a network: layers of very different size.
std::vector<float> uneven(std::size_t n) {
  std::vector<float> values(n);
  RandomStream stream({.seed = n});
  for (std::size_t i = 0; i < n; ++i)
    values[i] = static_cast<float>(stream.next_normal()) * (i % 4096 < 512 ? 1.0F : 0.05F);
  return values;
}

Bytes encode(const std::vector<float>& values, const CodecOptions& options, std::int64_t task = 0) {
  Bytes frame;
  make_codec("rotated", options)->encode(values, {.seed = 2, .task = task}, frame);
  return frame;
}

double squared_error(const std::vector<float>& values, const CodecOptions& options) {
  double sum = 0.0;
  for (int task = 0; task < 10; ++task) {
    std::vector<float> decoded(values.size());
    make_codec("rotated", options)->decode(encode(values, options, task), decoded);
    for (std::size_t i = 0; i < values.size(); ++i)
      sum += std::pow(double{decoded[i]} - double{values[i]}, 2.0);
  }
  return sum;
}

TEST(MixedBitsTest, FramesNeverExceedTheLimit) {
  for (const std::size_t n : {0U, 1U, 512U, 513U, 5000U, 44'426U}) {
    const auto count = static_cast<std::int64_t>(n);
    const std::int64_t least = rotated_frame_bytes(count, 1);
    const std::int64_t most = rotated_frame_bytes(count, 8);
    for (const std::int64_t limit :
         {least, least + 1, (least + most) / 2, std::max(least, most - 1), most + 100}) {
      const std::int64_t bytes = std::ssize(encode(uneven(n), {.max_bytes = limit}));
      EXPECT_LE(bytes, limit) << n;
      EXPECT_GT(bytes, std::min(limit, most) - 65) << n;  // what is left buys no block a bit
    }
    EXPECT_EQ(std::ssize(encode(uneven(n), {.max_bytes = most})), most);
  }
}

TEST(MixedBitsTest, ErrorAtEqualBytesIsAFractionWhereBlocksDiffer) {
  const std::vector<float> values = uneven(40'000);
  for (const std::int64_t bits : {2, 3, 4}) {
    const std::int64_t bytes = std::ssize(encode(values, {.bits = bits}));
    EXPECT_LT(squared_error(values, {.max_bytes = bytes}),
              0.5 * squared_error(values, {.bits = bits}))
        << bits;
  }
}

TEST(MixedBitsTest, MeanOverKeysIsTheValue) {
  constexpr int kKeys = 400;
  const std::vector<float> values = uneven(2048);
  const CodecOptions options{.max_bytes = rotated_frame_bytes(2048, 2)};
  std::vector<double> sums(values.size());
  double squared_errors = 0.0;
  for (int task = 0; task < kKeys; ++task) {
    std::vector<float> decoded(values.size());
    make_codec("rotated", options)->decode(encode(values, options, task), decoded);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = double{decoded[i]} - double{values[i]};
      sums[i] += error;
      squared_errors += error * error;
    }
  }
  double squared_mean = 0.0;
  for (const double sum : sums) squared_mean += sum * sum / kKeys / kKeys;
  // Most of the error is in a quarter of the values.
  EXPECT_NEAR(squared_mean / (squared_errors / kKeys / kKeys), 1.0, 5.0 * std::sqrt(2.0 / 512.0));
}

TEST(MixedBitsTest, TooFewBytesForOneBitAreRefusedWithTheLeast) {
  const std::int64_t least = rotated_frame_bytes(5000, 1);
  const std::string message =
      thrown_text<ConfigError>([&] { encode(uneven(5000), {.max_bytes = least - 1}); });
  EXPECT_NE(message.find(std::to_string(least)), std::string::npos) << message;
}

TEST(MixedBitsTest, LongerFramesAndImpossibleBitsAreRefused) {
  const std::vector<float> values = uneven(1024);
  std::vector<float> decoded(values.size());
  const Bytes frame = encode(values, {.max_bytes = 600});
  const auto decode = [&](const Bytes& bytes, const CodecOptions& options) {
    make_codec("rotated", options)->decode(bytes, decoded);
  };
  decode(frame, {.max_bytes = 600});
  EXPECT_THROW(decode(frame, {.max_bytes = std::ssize(frame) - 1}), WireError);
  EXPECT_THROW(decode(frame, {.bits = 4}), WireError);
  EXPECT_THROW(decode(encode(values, {.bits = 4}), {.max_bytes = 100'000}), WireError);
  Bytes payload(frame.begin() + kFrameHeaderBytes, frame.end());
  for (const std::uint8_t both : {std::uint8_t{0x99}, std::uint8_t{0xF1}, std::uint8_t{0x00}}) {
    payload[17] = both;
    Bytes forged;
    write_frame(FrameType::kRotatedUpdate, payload, forged);
    EXPECT_THROW(decode(forged, {.max_bytes = 600}), WireError) << int{both};
  }
}

}  // namespace
}  // namespace coppice
