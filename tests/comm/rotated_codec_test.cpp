// The rotated codec's error is that of the best quantizer for normal values whatever the values
// are, and averages to zero.

#include <gtest/gtest.h>

#include <cmath>

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/error.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

RandomKey key_of(std::int64_t task) {
  return {.seed = 5, .purpose = Purpose::kRounding, .client = 3, .task = task};
}

Bytes encode(const std::vector<float>& values, std::int64_t bits, std::int64_t task = 0) {
  Bytes frame;
  make_codec("rotated", {.bits = bits})->encode(values, key_of(task), frame);
  return frame;
}

std::vector<float> round_trip(const std::vector<float>& values, std::int64_t bits,
                              std::int64_t task = 0) {
  std::vector<float> decoded(values.size(), NAN);
  make_codec("rotated", {.bits = bits})->decode(encode(values, bits, task), decoded);
  return decoded;
}

double square(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * double{value};
  return sum;
}

// Distortions of the best quantizers of a standard normal value, 1 to 8 bits (Max 1960, table I,
// with more digits).
constexpr double kDistortions[] = {0.363380,   0.117482,   0.0345478,  0.00950101,
                                   0.00250467, 6.44240e-4, 1.63478e-4, 4.11851e-5};

std::vector<float> values_of(const std::string& kind, std::size_t n) {
  std::vector<float> values(n);
  RandomStream stream({.seed = n});
  for (std::size_t i = 0; i < n; ++i) {
    const double normal = stream.next_normal();
    if (kind == "normal") values[i] = static_cast<float>(normal);
    if (kind == "cubed") values[i] = static_cast<float>(normal * normal * normal);
    if (kind == "sparse") values[i] = i % 50 == 0 ? static_cast<float>(normal) : 0.0F;
    if (kind == "two") values[i] = i < 2 ? 1.0F - 0.1F * static_cast<float>(i) : 0.0F;
  }
  return values;
}

// With the scale that makes the mean right the error is D / (1 - D) of the square, D the
// quantizer's distortion: normal values rounded to their levels have the square 1 - D. Two values
// alone become multiples of one number, which fine levels meet 4 % better than normal values.
TEST(RotatedCodecTest, MeanSquaredErrorIsThatOfTheQuantizerWhateverTheValues) {
  constexpr int kKeys = 40;
  for (const char* kind : {"normal", "cubed", "sparse", "two"}) {
    const std::vector<float> values = values_of(kind, 8192);
    for (std::int64_t bits = 1; bits <= 8; ++bits) {
      double error = 0.0;
      for (int task = 0; task < kKeys; ++task) {
        std::vector<float> decoded = round_trip(values, bits, task);
        for (std::size_t i = 0; i < values.size(); ++i) decoded[i] -= values[i];
        error += square(decoded) / kKeys;
      }
      const double distortion = kDistortions[bits - 1];
      EXPECT_NEAR(error / square(values), distortion / (1.0 - distortion), 0.05 * distortion)
          << kind << ", " << bits << " bits";
    }
  }
}

// The part along the values is exact for every single key: that is how the scale is chosen.
TEST(RotatedCodecTest, ProjectionOnTheValuesIsExactForEveryKey) {
  const std::vector<float> values = values_of("cubed", 4096);
  for (const std::int64_t bits : {1, 4, 8}) {
    for (std::int64_t task = 0; task < 20; ++task) {
      const std::vector<float> decoded = round_trip(values, bits, task);
      double product = 0.0;
      for (std::size_t i = 0; i < values.size(); ++i)
        product += double{values[i]} * double{decoded[i]};
      EXPECT_NEAR(product / square(values), 1.0, 1e-5) << bits;
    }
  }
}

// |mean error|^2 of unbiased draws has the mean (mean squared error) / draws; over n values its
// spread is sqrt(2 / n) of that.
TEST(RotatedCodecTest, MeanOverKeysIsTheValueForHardValuesToo) {
  constexpr int kKeys = 2000;
  for (const char* kind : {"normal", "cubed", "sparse", "two"}) {
    for (const std::int64_t bits : {1, 3}) {
      const std::vector<float> values = values_of(kind, 512);
      std::vector<double> sums(values.size());
      double squared_error = 0.0;
      for (int task = 0; task < kKeys; ++task) {
        const std::vector<float> decoded = round_trip(values, bits, task);
        for (std::size_t i = 0; i < values.size(); ++i) {
          const double error = double{decoded[i]} - double{values[i]};
          sums[i] += error;
          squared_error += error * error;
        }
      }
      double squared_mean = 0.0;
      for (const double sum : sums) squared_mean += sum * sum / kKeys / kKeys;
      const double expected = squared_error / kKeys / kKeys;
      EXPECT_NEAR(squared_mean / expected, 1.0, 5.0 * std::sqrt(2.0 / 512.0))
          << kind << ' ' << bits;
    }
  }
}

TEST(RotatedCodecTest, CostsItsBitsAndFourBytesABlock) {
  const auto bytes = [](std::size_t n, std::int64_t bits) {
    return encode(std::vector<float>(n, 1.0F), bits).size() - kFrameHeaderBytes - 17;
  };
  EXPECT_EQ(bytes(0, 4), 0U);
  EXPECT_EQ(bytes(1, 4), 4U + 256U);  // filled up to 512
  EXPECT_EQ(bytes(4096, 1), 4U + 512U);
  EXPECT_EQ(bytes(4096 + 2048 + 512 + 1, 3), 4U * 4U + (4096U + 2048U + 512U + 512U) * 3U / 8U);
}

TEST(RotatedCodecTest, OneValueIsExactAndMagnitudesBelowFloatsSquaresSurvive) {
  for (const float value : {1.0F, -3e38F, 1e-30F}) {
    EXPECT_NEAR(double{round_trip({value}, 2)[0]}, double{value}, 1e-5 * std::abs(double{value}));
  }
}

TEST(RotatedCodecTest, BlocksHaveTheirOwnScales) {
  std::vector<float> values = values_of("normal", 8192);
  for (std::size_t i = 4096; i < 8192; ++i) values[i] *= 1e-20F;
  const std::vector<float> decoded = round_trip(values, 8);
  for (std::size_t i = 4096; i < 8192; ++i)
    ASSERT_NEAR(double{decoded[i]}, double{values[i]}, 1e-21) << i;
}

TEST(RotatedCodecTest, KeysRotateDifferently) {
  const std::vector<float> values = values_of("normal", 600);
  EXPECT_NE(encode(values, 4, 1), encode(values, 4, 2));
}

TEST(RotatedCodecTest, OtherBitsAtTheOtherEndAndImpossibleScalesAreRefused) {
  std::vector<float> decoded(600);
  EXPECT_THROW(make_codec("rotated", {.bits = 3})->decode(encode(decoded, 4), decoded), WireError);
  for (const float scale : {NAN, INFINITY, -1.0F}) {
    Bytes frame;
    begin_frame(frame);
    WireWriter writer(frame);
    writer.u64(1);
    writer.u8(4);
    writer.u64(7);
    writer.f32(scale);
    for (int i = 0; i < 256; ++i) writer.u8(0);
    finish_frame(FrameType::kRotatedUpdate, frame);
    std::vector<float> one(1);
    EXPECT_THROW(make_codec("rotated", {.bits = 4})->decode(frame, one), WireError) << scale;
  }
}

}  // namespace
}  // namespace coppice
