// What the topk codec keeps, where ties go, what it costs, and what its decoder refuses.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/error.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes encode(const std::vector<float>& values, double fraction) {
  Bytes frame;
  make_codec("topk", {.fraction = fraction})->encode(values, {}, frame);
  return frame;
}

std::vector<float> round_trip(const std::vector<float>& values, double fraction) {
  std::vector<float> decoded(values.size(), NAN);
  make_codec("topk", {.fraction = fraction})->decode(encode(values, fraction), decoded);
  return decoded;
}

// All but the k largest set to zero, by sorting; of equal magnitudes the first stay.
std::vector<float> by_sorting(const std::vector<float>& values, std::size_t k) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return std::abs(values[a]) > std::abs(values[b]);
  });
  std::vector<float> kept(values.size());
  for (std::size_t i = 0; i < k; ++i) kept[order[i]] = values[order[i]];
  return kept;
}

std::vector<float> normals(std::size_t n, std::uint64_t seed = 1) {
  std::vector<float> values(n);
  RandomStream stream({.seed = seed});
  for (float& value : values) value = static_cast<float>(stream.next_normal());
  return values;
}

TEST(TopKCodecTest, KeepsExactlyTheLargestUnchanged) {
  for (const std::size_t n : {1U, 2U, 10U, 63U, 1000U, 4099U}) {
    for (const double fraction : {0.001, 0.01, 0.1, 0.5, 0.9, 1.0}) {
      const auto k = std::max<std::size_t>(
          1, static_cast<std::size_t>(std::llround(fraction * static_cast<double>(n))));
      const std::vector<float> values = normals(n, n);
      ASSERT_EQ(round_trip(values, fraction), by_sorting(values, k)) << n << ' ' << fraction;
    }
  }
}

TEST(TopKCodecTest, OfEqualMagnitudesTheFirstStay) {
  EXPECT_EQ(round_trip({1, -2, 2, -2, 2, 0}, 0.5), (std::vector<float>{0, -2, 2, -2, 0, 0}));
  std::vector<float> same(1000, 0.5F);
  same[999] = 1.0F;
  const std::vector<float> kept = round_trip(same, 0.01);
  EXPECT_EQ(std::ranges::count(kept, 0.5F), 9);
  EXPECT_EQ(kept[8], 0.5F);
  EXPECT_EQ(kept[999], 1.0F);
}

TEST(TopKCodecTest, NeighboursThatDifferInTheLastBitAreToldApart) {
  std::vector<float> values(300, 1.0F);
  values[200] = std::nextafter(1.0F, 2.0F);
  values[100] = std::nextafter(values[200], 2.0F);
  const std::vector<float> kept = round_trip(values, 2.0 / 300.0);
  EXPECT_EQ(kept[200], values[200]);
  EXPECT_EQ(kept[100], values[100]);
  EXPECT_EQ(std::ranges::count(kept, 0.0F), 298);
}

TEST(TopKCodecTest, LongGapsAndLastPositionsArrive) {
  std::vector<float> values(100'000);
  values[0] = 3.0F;
  values[99'999] = -4.0F;
  EXPECT_EQ(round_trip(values, 2e-5), values);
  EXPECT_EQ(round_trip(values, 0.5), values);  // kept zeros beside two that are none
}

// Positions kept at random have geometric gaps. With parameter r a gap costs r + 1 / (1 - q^(2^r))
// bits on average, q = 1 - k / n: 4.756 at a tenth (r = 3), 8.108 at a hundredth (r = 6).
TEST(TopKCodecTest, APositionCostsWhatTheGolombCodeSays) {
  const std::vector<float> values = normals(1 << 18);
  for (const auto& [fraction, bits] : {std::pair{0.1, 4.756}, std::pair{0.01, 8.108}}) {
    const double k = std::round(fraction * static_cast<double>(values.size()));
    const auto bytes =
        static_cast<double>(encode(values, fraction).size() - kFrameHeaderBytes - 17);
    EXPECT_NEAR(bytes * 8.0 / k - 32.0, bits, 0.02 * bits) << fraction;
  }
}

TEST(TopKCodecTest, OtherFractionAtTheOtherEndIsRefused) {
  std::vector<float> decoded(100);
  EXPECT_THROW(make_codec("topk", {.fraction = 0.2})->decode(encode(normals(100), 0.1), decoded),
               WireError);
}

// Frames of four values, two kept, with gap parameter 0: zeros, then a one.
TEST(TopKCodecTest, ImpossibleGapsAndFillingAreRefused) {
  const auto decode = [](const Bytes& gaps) {
    Bytes frame;
    begin_frame(frame);
    WireWriter writer(frame);
    writer.u64(4);
    writer.u64(2);
    writer.u8(0);
    writer.f32(1.0F);
    writer.f32(2.0F);
    for (const std::uint8_t byte : gaps) writer.u8(byte);
    finish_frame(FrameType::kTopKUpdate, frame);
    std::vector<float> out(4);
    make_codec("topk", {.fraction = 0.5})->decode(frame, out);
    return out;
  };
  EXPECT_EQ(decode({0b1001}), (std::vector<float>{1, 0, 0, 2}));
  EXPECT_THROW(decode({0b10001}), WireError);                 // the second at 4
  EXPECT_THROW(decode({}), WireError);                        // no gaps
  EXPECT_THROW(decode({0b1}), WireError);                     // one of two
  EXPECT_THROW(decode({0b11001}), WireError);                 // a third
  EXPECT_THROW(decode({0b1001, 0}), WireError);               // a byte too many
  EXPECT_THROW(decode({0, 0, 0, 0, 0, 0, 0, 0}), WireError);  // a gap without an end
}

}  // namespace
}  // namespace coppice
