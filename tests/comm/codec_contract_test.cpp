// What every codec in comm/codecs.def promises. A new line there is tested here without a change.

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/exact_sum.h"

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
  bool refuses_payload(FrameType type, const Bytes& payload) const {
    Bytes frame;
    write_frame(type, payload, frame);
    return refuses(frame, 600);
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

// To the bit, and in the same place.
TEST_P(CodecContractTest, RoundTripWithoutAFrameIsThatThroughTheFrame) {
  for (const std::size_t n : kLengths) {
    const std::vector<float> values = some_values(n);
    std::vector<float> out = values;
    Bytes scratch{1, 2, 3};
    const std::size_t bytes = codec_->round_trip(out, key_of(4), out, scratch);
    EXPECT_EQ(bytes, encode(values, 4).size());
    const std::vector<float> decoded = round_trip(values, 4);
    EXPECT_TRUE(n == 0 || std::memcmp(out.data(), decoded.data(), 4 * n) == 0) << n;
  }
}

TEST_P(CodecContractTest, LosslessFramesGiveBackEveryBitAndKnowTheirLength) {
  for (const std::size_t n : kLengths) {
    std::vector<float> values = some_values(n);
    if (n > 4) values[4] = -0.0F;
    const auto bytes = codec_->lossless_frame_bytes(n);
    if (!bytes) continue;
    EXPECT_EQ(*bytes, encode(values).size());
    EXPECT_TRUE(n == 0 || std::memcmp(round_trip(values).data(), values.data(), 4 * n) == 0) << n;
  }
}

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

TEST_P(CodecContractTest, MeanOverManyKeysIsTheValueIfItClaimsSo) {
  if (!codec_->is_unbiased()) GTEST_SKIP() << "biased";
  constexpr int kKeys = 4000;
  const std::vector<float> values{1.0F, -0.9F, 0.3F, 0.0101F, -0.0011F, 0.0F};
  std::vector<double> errors(values.size());
  std::vector<double> squares(values.size());
  for (int task = 0; task < kKeys; ++task) {
    const std::vector<float> decoded = round_trip(values, task);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = double{decoded[i]} - double{values[i]};
      errors[i] += error;
      squares[i] += error * error;
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    // 5 sigma of the mean, sigma as it was measured, and the last bit of a scale.
    const double tolerance = 5.0 * std::sqrt(squares[i]) / kKeys + 3e-7;
    EXPECT_NEAR(errors[i] / kKeys, 0.0, tolerance) << i;
  }
}

TEST_P(CodecContractTest, BytesDependOnTheKeyAloneAndNotOnWhoEncodes) {
  const std::vector<float> values = some_values(1000);
  const Bytes here = encode(values, 3);
  Bytes there;
  std::thread([&] {
    Bytes other;
    const auto codec = make_codec(GetParam().name);
    codec->encode(some_values(77), key_of(9), other);  // leaves nothing behind
    codec->encode(values, key_of(3), there);
  }).join();
  EXPECT_EQ(here, there);
}

// What a client delivers is summed on a grid: no order, no rounding that depends on it.
TEST_P(CodecContractTest, DecodedUpdatesAddToTheSameSumInAnyOrder) {
  constexpr std::int64_t kClients = 5;
  const GridSpec grid = grid_for(6, 16);
  ExactSum forward(1000, grid, 16);
  ExactSum backward(1000, grid, 16);
  const auto add = [&](ExactSum& sum, std::int64_t client) {
    return sum.add(round_trip(some_values(1000), client), client + 1);
  };
  for (std::int64_t i = 0; i < kClients; ++i) {
    ASSERT_TRUE(add(forward, i));
    ASSERT_TRUE(add(backward, kClients - 1 - i));
  }
  EXPECT_TRUE(std::ranges::equal(forward.units(), backward.units()));
  EXPECT_FALSE(forward.add(round_trip(std::vector<float>(1000, 1e4F)), 1));  // off the grid
}

// Damage that has a right checksum: every byte of the payload changed, and bytes cut and added.
TEST_P(CodecContractTest, ForgedPayloadsAreDecodedToFiniteValuesOrRefused) {
  const Bytes frame = encode(some_values(600));
  const Bytes payload(frame.begin() + kFrameHeaderBytes, frame.end());
  const auto type = static_cast<FrameType>(frame[6]);
  const auto probe = [&](const Bytes& forged) {
    Bytes whole;
    write_frame(type, forged, whole);
    std::vector<float> values(600);
    try {
      codec_->decode(whole, values);
    } catch (const WireError&) {
      return;
    }
    for (const float value : values) ASSERT_TRUE(std::isfinite(value));
  };
  for (std::size_t i = 0; i < payload.size(); ++i) {
    for (const unsigned change : {0x01U, 0x10U, 0x80U, 0xFFU}) {
      Bytes forged = payload;
      forged[i] = static_cast<std::uint8_t>(forged[i] ^ change);
      probe(forged);
    }
    EXPECT_TRUE(refuses_payload(
        type, Bytes(payload.begin(),
                    payload.begin() + std::ssize(payload) - static_cast<std::ptrdiff_t>(i) - 1)))
        << i;
  }
  Bytes longer = payload;
  longer.push_back(0);
  EXPECT_TRUE(refuses_payload(type, longer));
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

TEST(CodecRegistryTest, OptionsOutOfRangeAreRefusedWithTheRange) {
  for (const std::int64_t bits : {std::int64_t{0}, std::int64_t{9}, INT64_MIN}) {
    EXPECT_THROW(make_codec("rotated", {.bits = bits}), ConfigError) << bits;
  }
  for (const double fraction : {0.0, -0.1, 1.01, double{NAN}}) {
    EXPECT_THROW(make_codec("topk", {.fraction = fraction}), ConfigError) << fraction;
  }
}

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
