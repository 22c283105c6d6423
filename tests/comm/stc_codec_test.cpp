// What sparse ternary compression keeps, what it costs, and what its decoder refuses.

#include <gtest/gtest.h>

#include <cmath>

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/random.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes encode(const std::vector<float>& values, double fraction) {
  Bytes frame;
  make_codec("stc", {.fraction = fraction})->encode(values, {}, frame);
  return frame;
}

std::vector<float> round_trip(const std::vector<float>& values, double fraction) {
  std::vector<float> decoded(values.size(), NAN);
  make_codec("stc", {.fraction = fraction})->decode(encode(values, fraction), decoded);
  return decoded;
}

TEST(StcCodecTest, TheLargestBecomeTheirMeanMagnitudeWithTheirSigns) {
  EXPECT_EQ(round_trip({1, -4, 0.5F, 2, -0.1F, 0}, 0.5),
            (std::vector<float>{7.0F / 3, -7.0F / 3, 0, 7.0F / 3, 0, 0}));
  EXPECT_EQ(round_trip({3, -3}, 0.01), (std::vector<float>{3, 0}));
}

// What topk takes without the values' 32 bits, and a bit for each sign.
TEST(StcCodecTest, CostsTheGapsOfTopKASignAndOneMagnitude) {
  std::vector<float> values(10'000);
  RandomStream stream({.seed = 1});
  for (float& value : values) value = static_cast<float>(stream.next_normal());
  for (const double fraction : {0.1, 0.01}) {
    Bytes whole;
    make_codec("topk", {.fraction = fraction})->encode(values, {}, whole);
    const auto k = static_cast<std::size_t>(std::llround(fraction * 10'000));
    EXPECT_EQ(encode(values, fraction).size(), whole.size() - 4 * k + 4 + (k + 7) / 8) << fraction;
  }
}

TEST(StcCodecTest, ImpossibleMagnitudesAndFillingAreRefused) {
  const auto decode = [](float mean, std::uint8_t signs) {
    Bytes frame;
    begin_frame(frame);
    WireWriter writer(frame);
    writer.u64(4);
    writer.u64(2);
    writer.u8(0);
    writer.f32(mean);
    writer.u8(signs);
    writer.u8(0b1001);
    finish_frame(FrameType::kStcUpdate, frame);
    std::vector<float> out(4);
    make_codec("stc", {.fraction = 0.5})->decode(frame, out);
    return out;
  };
  EXPECT_EQ(decode(2.0F, 0b10), (std::vector<float>{2, 0, 0, -2}));
  EXPECT_THROW(decode(2.0F, 0b100), WireError);
  for (const float mean : {NAN, INFINITY, -1.0F}) EXPECT_THROW(decode(mean, 0), WireError) << mean;
}

}  // namespace
}  // namespace coppice
