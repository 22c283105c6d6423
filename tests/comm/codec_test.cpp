// What single codecs promise beyond the contract of all of them.

#include "comm/codec.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "comm/wire.h"
#include "core/error.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<float> round_trip(std::string_view name, const CodecOptions& options,
                              const std::vector<float>& values, const RandomKey& key = {}) {
  const auto codec = make_codec(name, options);
  Bytes frame;
  codec->encode(values, key, frame);
  std::vector<float> decoded(values.size(), NAN);
  codec->decode(frame, decoded);
  return decoded;
}

double squared_error(const std::vector<float>& values, const std::vector<float>& decoded) {
  double sum = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i)
    sum += std::pow(double{decoded[i]} - double{values[i]}, 2.0);
  return sum;
}

TEST(DenseCodecTest, FrameIsHeaderCountAndTheValuesThemselves) {
  const std::vector<float> values{1.0F, -0.0F, FLT_TRUE_MIN};
  Bytes frame;
  make_codec("dense")->encode(values, {}, frame);
  EXPECT_EQ(frame.size(), kFrameHeaderBytes + 8 + 12);
  std::vector<float> decoded(3);
  make_codec("dense")->decode(frame, decoded);
  EXPECT_EQ(decoded, values);
  EXPECT_TRUE(std::signbit(decoded[1]));
}

TEST(Int8CodecTest, CostsOneByteAValueAndFourABlock) {
  Bytes frame;
  make_codec("int8")->encode(std::vector<float>(513, 1.0F), {}, frame);
  EXPECT_EQ(frame.size(), kFrameHeaderBytes + 8 + 12 + 513);
}

TEST(Int8CodecTest, MultiplesOfTheScaleAreExactForEveryKey) {
  std::vector<float> values;
  for (int code = -127; code <= 127; ++code) values.push_back(static_cast<float>(code) * 0.25F);
  for (std::int64_t task = 0; task < 20; ++task) {
    Bytes frame;
    make_codec("int8")->encode(
        values, {.seed = 1, .purpose = Purpose::kRounding, .client = 0, .task = task}, frame);
    std::vector<float> decoded(values.size());
    make_codec("int8")->decode(frame, decoded);
    EXPECT_EQ(decoded, values);
  }
}

TEST(Int8CodecTest, BlocksHaveTheirOwnScales) {
  std::vector<float> values(512, 127.0F);
  std::fill(values.begin() + 256, values.end(), 127e-6F);
  Bytes frame;
  make_codec("int8")->encode(values, {}, frame);
  std::vector<float> decoded(512);
  make_codec("int8")->decode(frame, decoded);
  EXPECT_EQ(decoded[0], 127.0F);
  EXPECT_NEAR(decoded[256], 127e-6F, 2e-11F);
}

TEST(Int8CodecTest, DifferentKeysRoundDifferently) {
  std::vector<float> values(64, 0.3F);
  values[0] = 1.0F;
  Bytes a;
  Bytes b;
  make_codec("int8")->encode(values, {.seed = 1, .task = 1}, a);
  make_codec("int8")->encode(values, {.seed = 1, .task = 2}, b);
  EXPECT_NE(a, b);
}

// Intact frames whose content encode() cannot have made.
TEST(Int8CodecTest, ImpossibleScalesAndCodesAreRefused) {
  const auto decode = [](float scale, std::uint8_t code) {
    Bytes frame;
    begin_frame(frame);
    WireWriter writer(frame);
    writer.u64(1);
    writer.f32(scale);
    writer.u8(code);
    finish_frame(FrameType::kInt8Update, frame);
    std::vector<float> out(1);
    make_codec("int8")->decode(frame, out);
    return out[0];
  };
  EXPECT_EQ(decode(0.5F, 0xFF), -0.5F);
  for (const float scale : {NAN, INFINITY, -1.0F})
    EXPECT_THROW(decode(scale, 1), WireError) << scale;
  EXPECT_THROW(decode(1.0F, 0x80), WireError);
}

TEST(Int4CodecTest, CostsHalfAByteAValueAndFourABlock) {
  Bytes frame;
  make_codec("int4")->encode(std::vector<float>(513, 1.0F), {}, frame);
  EXPECT_EQ(frame.size(), kFrameHeaderBytes + 8 + 12 + 128 + 128 + 1);
}

TEST(Int4CodecTest, MultiplesOfTheScaleAreExactForEveryKey) {
  std::vector<float> values;
  for (int code = -7; code <= 7; ++code) values.push_back(static_cast<float>(code) * 0.25F);
  for (std::int64_t task = 0; task < 20; ++task)
    EXPECT_EQ(round_trip("int4", {}, values, {.seed = 1, .task = task}), values);
}

TEST(Int4CodecTest, ImpossibleCodesAndFillingAreRefused) {
  const auto decode = [](std::uint8_t byte) {
    Bytes frame;
    begin_frame(frame);
    WireWriter writer(frame);
    writer.u64(1);
    writer.f32(0.5F);
    writer.u8(byte);
    finish_frame(FrameType::kInt4Update, frame);
    std::vector<float> out(1);
    make_codec("int4")->decode(frame, out);
    return out[0];
  };
  EXPECT_EQ(decode(0x0F), -0.5F);
  EXPECT_EQ(decode(0x07), 3.5F);
  EXPECT_THROW(decode(0x08), WireError);  // -8
  EXPECT_THROW(decode(0x1F), WireError);  // a code beyond the last value
}

// Stochastic rounding of a value that lies anywhere between two steps has the mean squared error
// step^2 / 6; here the step is 1 / largest code.
TEST(BlockCodecTest, MeanSquaredErrorIsASixthOfTheSquaredStep) {
  std::vector<float> values(256 * 400);
  RandomStream stream({.seed = 3});
  for (float& value : values) value = 2.0F * stream.next_uniform() - 1.0F;
  for (std::size_t i = 0; i < values.size(); i += 256) values[i] = 1.0F;
  for (const auto& [name, largest] : {std::pair{"int8", 127.0}, std::pair{"int4", 7.0}}) {
    const double expected = 1.0 / (6.0 * largest * largest);
    const double measured = squared_error(values, round_trip(name, {}, values, {.seed = 1})) /
                            static_cast<double>(values.size());
    EXPECT_NEAR(measured / expected, 1.0, 0.02) << name;
  }
}

TEST(DenseCodecTest, FrameWithANaNIsRefused) {
  Bytes frame;
  begin_frame(frame);
  WireWriter(frame).floats(std::vector{NAN});
  finish_frame(FrameType::kDenseUpdate, frame);
  std::vector<float> out(1);
  EXPECT_THROW(make_codec("dense")->decode(frame, out), WireError);
}

}  // namespace
}  // namespace coppice
