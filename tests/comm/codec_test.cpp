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
