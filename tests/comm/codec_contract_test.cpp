// What every codec in comm/codecs.def promises. A new line there is tested here without a change.

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <string>

#include "comm/codec.h"
#include "core/error.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kLengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1000};

RandomKey key_of(std::int64_t task) {
  return {.seed = 5, .purpose = Purpose::kRounding, .client = 3, .task = task};
}

// Values of very different magnitudes, signs and exact zeros.
std::vector<float> some_values(std::size_t n) {
  std::vector<float> values(n);
  RandomStream stream({.seed = n});
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = i % 7 == 3 ? 0.0F
                           : std::ldexp(static_cast<float>(stream.next_normal()),
                                        -static_cast<int>(i / 100));
  }
  return values;
}

float magnitude_of(const std::vector<float>& values) {
  float magnitude = 0.0F;
  for (const float value : values) magnitude = std::max(magnitude, std::abs(value));
  return magnitude;
}

class CodecContractTest : public testing::TestWithParam<CodecInfo> {
 protected:
  Bytes encode(const std::vector<float>& values, std::int64_t task = 0) const {
    Bytes frame{1, 2, 3};  // encode replaces what was there
    codec_->encode(values, key_of(task), frame);
    return frame;
  }
  std::vector<float> decode(const Bytes& frame, std::size_t n) const {
    std::vector<float> values(n, NAN);
    codec_->decode(frame, values);
    return values;
  }
  std::vector<float> round_trip(const std::vector<float>& values, std::int64_t task = 0) const {
    return decode(encode(values, task), values.size());
  }
  bool refuses(const Bytes& frame, std::size_t n) const {
    try {
      decode(frame, n);
    } catch (const WireError& error) {
      return std::string(error.what()).find("expected") != std::string::npos;
    }
    return false;
  }
  void expect_within_bound(const std::vector<float>& values) const {
    const double bound = codec_->error_bound(double{magnitude_of(values)});
    const std::vector<float> decoded = round_trip(values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_LE(std::abs(double{decoded[i]} - double{values[i]}), bound)
          << "value " << values[i] << " at " << i;
    }
  }

  std::unique_ptr<Codec> codec_ = make_codec(GetParam().name);
};

TEST_P(CodecContractTest, KnowsItsName) { EXPECT_EQ(codec_->name(), GetParam().name); }

TEST_P(CodecContractTest, DecodedValuesLieWithinTheErrorBoundForEveryLength) {
  for (const std::size_t n : kLengths) expect_within_bound(some_values(n));
}

TEST_P(CodecContractTest, ExtremeMagnitudesLieWithinTheErrorBoundAndStayFinite) {
  for (const float magnitude :
       {FLT_MAX, 1e30F, FLT_MIN, FLT_MIN / 3, FLT_TRUE_MIN * 200, FLT_TRUE_MIN}) {
    const std::vector<float> values{magnitude, -magnitude, magnitude / 2, 0.0F, magnitude / 300};
    expect_within_bound(values);
    for (const float decoded : round_trip(values)) EXPECT_TRUE(std::isfinite(decoded)) << magnitude;
  }
}

TEST_P(CodecContractTest, ZerosStayZeros) {
  EXPECT_EQ(round_trip(std::vector<float>(600)), std::vector<float>(600));
}

TEST_P(CodecContractTest, SameValuesAndKeyGiveTheSameBytes) {
  for (const std::size_t n : kLengths)
    EXPECT_EQ(encode(some_values(n), 7), encode(some_values(n), 7));
}

TEST_P(CodecContractTest, MeanOverManyKeysIsTheValue) {
  constexpr int kKeys = 4000;
  const std::vector<float> values{1.0F, -0.9F, 0.3F, 0.0101F, -0.0011F, 1e-6F, 0.0F};
  std::vector<double> sums(values.size());
  for (int task = 0; task < kKeys; ++task) {
    const std::vector<float> decoded = round_trip(values, task);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i] += double{decoded[i]};
  }
  // A rounding error lies in an interval of error_bound, so its standard deviation is at most half
  // of that; 5 sigma.
  const double tolerance = 5.0 * 0.5 * codec_->error_bound(1.0) / std::sqrt(kKeys) + 1e-7;
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(sums[i] / kKeys, double{values[i]}, tolerance) << i;
}

TEST_P(CodecContractTest, EveryTruncationIsRefused) {
  for (const std::size_t n : {std::size_t{0}, std::size_t{5}, std::size_t{257}}) {
    const Bytes frame = encode(some_values(n));
    for (std::size_t length = 0; length < frame.size(); ++length) {
      ASSERT_TRUE(
          refuses(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length)), n))
          << length;
    }
  }
}

TEST_P(CodecContractTest, EveryFlippedBitIsRefused) {
  for (const std::size_t n : {std::size_t{0}, std::size_t{9}, std::size_t{257}}) {
    const Bytes frame = encode(some_values(n));
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      Bytes flipped = frame;
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
      ASSERT_TRUE(refuses(flipped, n)) << bit;
    }
  }
}

TEST_P(CodecContractTest, OtherCountAndTrailingBytesAreRefused) {
  Bytes frame = encode(some_values(64));
  EXPECT_TRUE(refuses(frame, 63));
  EXPECT_TRUE(refuses(frame, 65));
  frame.push_back(0);
  EXPECT_TRUE(refuses(frame, 64));
}

TEST_P(CodecContractTest, FramesOfOtherCodecsAreRefused) {
  for (const CodecInfo& other : known_codecs()) {
    if (other.name == GetParam().name) continue;
    Bytes frame;
    make_codec(other.name)->encode(some_values(64), key_of(0), frame);
    EXPECT_TRUE(refuses(frame, 64)) << other.name;
  }
}

TEST_P(CodecContractTest, ValuesThatAreNotFiniteAreRefusedByIndex) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    try {
      encode({1.0F, 2.0F, bad});
      FAIL() << bad;
    } catch (const WireError& error) {
      EXPECT_NE(std::string(error.what()).find("at index 2"), std::string::npos) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CodecContractTest,
                         testing::ValuesIn(known_codecs().begin(), known_codecs().end()),
                         [](const auto& codec) { return std::string(codec.param.name); });

TEST(CodecRegistryTest, UnknownNameNamesTheNearestKnownOne) {
  try {
    make_codec("in8");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'int8'"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace coppice
