// What qsgd and dadaquant promise: levels are those above zero, whatever their number, and bytes
// are those of an entropy code.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/error.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes encode(const std::vector<float>& values, std::int64_t levels, std::int64_t task = 0,
             std::string_view codec = "qsgd") {
  Bytes frame;
  make_codec(codec, {.levels = levels})
      ->encode(values, {.seed = 3, .purpose = Purpose::kRounding, .client = 1, .task = task},
               frame);
  return frame;
}

std::vector<float> round_trip(const std::vector<float>& values, std::int64_t levels,
                              std::int64_t task = 0) {
  std::vector<float> decoded(values.size(), NAN);
  make_codec("qsgd", {.levels = levels})->decode(encode(values, levels, task), decoded);
  return decoded;
}

std::vector<float> normals(std::size_t n) {
  std::vector<float> values(n);
  RandomStream stream({.seed = n});
  for (float& value : values) value = static_cast<float>(stream.next_normal());
  return values;
}

double length_of(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * double{value};
  return std::sqrt(sum);
}

// Codes of b bits with a sign have 2^(b - 1) - 1 levels above zero; of 1 bit there are none, and
// one is the least that says anything.
std::int64_t levels_of_bits(int bits) {
  return std::max<std::int64_t>(1, (std::int64_t{1} << (bits - 1)) - 1);
}

TEST(LevelCodecTest, ValuesBecomeMultiplesOfTheLengthOverTheLevelsForOneToEightBits) {
  const std::vector<float> values = normals(700);
  for (int bits = 1; bits <= 8; ++bits) {
    const std::int64_t levels = levels_of_bits(bits);
    const double step = length_of(values) / static_cast<double>(levels);
    for (int task = 0; task < 5; ++task) {
      const std::vector<float> decoded = round_trip(values, levels, task);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double code = double{decoded[i]} / step;
        ASSERT_NEAR(code, std::round(code), 1e-4) << bits;
        ASSERT_LE(std::abs(std::round(code)), static_cast<double>(levels)) << bits;
        ASSERT_LT(std::abs(double{decoded[i]} - double{values[i]}), step * 1.0001) << bits;
      }
    }
  }
}

TEST(LevelCodecTest, ZerosAreNotDividedByTheirLength) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<float> zeros(65);
    EXPECT_EQ(round_trip(zeros, levels_of_bits(bits)), zeros) << bits;
    EXPECT_EQ(encode(zeros, levels_of_bits(bits)).size(), kFrameHeaderBytes + 20 + 1) << bits;
    EXPECT_TRUE(round_trip({}, levels_of_bits(bits)).empty());
  }
}

// A fraction f is rounded up with probability f: the variance is step^2 f (1 - f). QSGD's bound
// (lemma 3.1) on its sum over the square is min(n / levels^2, sqrt(n) / levels).
TEST(LevelCodecTest, VarianceIsThatOfTheFractionsAndWithinTheBound) {
  constexpr int kKeys = 400;
  const std::vector<float> values = normals(500);
  const double length = length_of(values);
  for (const std::int64_t levels : {1, 3, 15, 127, 1000}) {
    const double step = length / static_cast<double>(levels);
    double expected = 0.0;
    for (const float value : values) {
      const double fraction = double{value} / step - std::floor(double{value} / step);
      expected += step * step * fraction * (1.0 - fraction);
    }
    double measured = 0.0;
    for (int task = 0; task < kKeys; ++task) {
      std::vector<float> decoded = round_trip(values, levels, task);
      for (std::size_t i = 0; i < values.size(); ++i) decoded[i] -= values[i];
      measured += std::pow(length_of(decoded), 2.0) / kKeys;
    }
    EXPECT_NEAR(measured / expected, 1.0, 0.06) << levels;
    const auto count = static_cast<double>(values.size());
    const auto many = static_cast<double>(levels);
    EXPECT_LE(measured,
              1.06 * length * length * std::min(count / many / many, std::sqrt(count) / many))
        << levels;
  }
}

TEST(LevelCodecTest, AValueAloneIsExactAtEveryNumberOfLevels) {
  std::vector<float> values(300);
  values[7] = -3.0F;
  for (const std::int64_t levels : {1, 126, 127, 128, 300, 65536})
    EXPECT_NEAR(round_trip(values, levels)[7], -3.0F, 1e-6F) << levels;
}

// Entropies of what rounding makes of normal values, in bits: at one level a standard deviation
// 2.11, at a tenth of it nearly all are 0.
TEST(LevelCodecTest, BytesAreThoseOfTheCodesEntropy) {
  constexpr std::size_t kValues = 1 << 16;
  const std::vector<float> values = normals(kValues);
  for (const std::int64_t levels : {26, 64, 256, 1024, 8192}) {
    const std::vector<float> decoded = round_trip(values, levels);
    const double step = length_of(values) / static_cast<double>(levels);
    std::map<int, double> counts;
    for (const float value : decoded) ++counts[static_cast<int>(std::round(value / step))];
    double entropy = 0.0;  // bytes
    for (const auto& [code, count] : counts)
      entropy -= count * std::log2(count / static_cast<double>(kValues)) / 8.0;
    const auto bytes = static_cast<double>(encode(values, levels).size() - kFrameHeaderBytes - 20);
    EXPECT_LT(bytes, 1.02 * entropy + 60.0) << levels;
    EXPECT_GT(bytes, 0.98 * entropy) << levels;
  }
}

TEST(LevelCodecTest, DadaquantHasTheSameCodes) {
  const std::vector<float> values = normals(100);
  const Bytes a = encode(values, 20);
  const Bytes b = encode(values, 20, 0, "dadaquant");
  EXPECT_TRUE(std::ranges::equal(std::span(a).subspan(kFrameHeaderBytes),
                                 std::span(b).subspan(kFrameHeaderBytes)));
}

TEST(LevelCodecTest, OtherLevelsAndCodesAboveThemAreRefused) {
  std::vector<float> decoded(40);
  const Bytes frame = encode(normals(40), 200);
  EXPECT_THROW(make_codec("qsgd", {.levels = 199})->decode(frame, decoded), WireError);
  std::vector<float> alone(40);
  alone[0] = 1.0F;
  Bytes payload = encode(alone, 200);  // ends with by how much 200 is more than 127
  payload.erase(payload.begin(), payload.begin() + kFrameHeaderBytes);
  payload[payload.size() - 2] = 74;
  Bytes forged;
  write_frame(FrameType::kQsgdUpdate, payload, forged);
  EXPECT_THROW(make_codec("qsgd", {.levels = 200})->decode(forged, decoded), WireError);
  payload[payload.size() - 2] = 73;
  write_frame(FrameType::kQsgdUpdate, payload, forged);
  make_codec("qsgd", {.levels = 200})->decode(forged, decoded);
  EXPECT_NEAR(decoded[0], 1.0F, 1e-6F);
}

TEST(LevelCodecTest, FramesWithinALimitNeverExceedItAndUseMostOfIt) {
  const std::vector<float> values = normals(20'000);
  for (const std::int64_t limit : {1500, 5000, 10'000, 20'000}) {
    const auto codec = make_codec("qsgd", {.max_bytes = limit});
    for (int task = 0; task < 2; ++task) {
      Bytes frame;
      codec->encode(values, {.seed = 1, .task = task}, frame);
      EXPECT_LE(std::ssize(frame), limit);
      EXPECT_GT(static_cast<double>(frame.size()), 0.9 * static_cast<double>(limit));
      std::vector<float> decoded(values.size());
      codec->decode(frame, decoded);
      std::vector<float> straight(values.size());
      EXPECT_EQ(codec->round_trip(values, {.seed = 1, .task = task}, straight, frame),
                frame.size());
      EXPECT_EQ(straight, decoded);
    }
    Bytes frame;
    codec->encode(values, {}, frame);
    std::vector<float> decoded(values.size());
    EXPECT_THROW(make_codec("qsgd", {.max_bytes = limit / 2})->decode(frame, decoded), WireError);
    EXPECT_THROW(make_codec("qsgd")->decode(frame, decoded), WireError);
  }
}

TEST(LevelCodecTest, MeanWithinALimitIsTheValue) {
  constexpr int kKeys = 600;
  const std::vector<float> values = normals(500);
  const auto codec = make_codec("qsgd", {.max_bytes = 150});
  std::vector<double> sums(values.size());
  double squared_errors = 0.0;
  for (int task = 0; task < kKeys; ++task) {
    std::vector<float> decoded(values.size());
    Bytes scratch;
    codec->round_trip(values, {.seed = 2, .task = task}, decoded, scratch);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = double{decoded[i]} - double{values[i]};
      sums[i] += error;
      squared_errors += error * error;
    }
  }
  double squared_mean = 0.0;
  for (const double sum : sums) squared_mean += sum * sum / kKeys / kKeys;
  EXPECT_NEAR(squared_mean / (squared_errors / kKeys / kKeys), 1.0, 5.0 * std::sqrt(2.0 / 500.0));
}

TEST(LevelCodecTest, ALimitThatOneLevelExceedsIsRefused) {
  Bytes frame;
  EXPECT_THROW(make_codec("qsgd", {.max_bytes = 50})->encode(normals(5000), {}, frame),
               ConfigError);
}

TEST(LevelCodecTest, LevelsOutOfRangeAreRefused) {
  for (const std::int64_t levels : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{65537}})
    EXPECT_THROW(make_codec("qsgd", {.levels = levels}), ConfigError) << levels;
}

}  // namespace
}  // namespace coppice
