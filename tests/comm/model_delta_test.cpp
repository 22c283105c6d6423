// Both ends hold the same bits, whatever the codec leaves out, and what is left out follows later.

#include "comm/model_delta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "comm/wire.h"
#include "core/error.h"

namespace coppice {
namespace {

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  std::vector<float> values(n);
  RandomStream stream({.seed = seed});
  for (float& value : values) value = static_cast<float>(stream.next_normal());
  return values;
}

double distance(const HeldModel& a, const HeldModel& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.parameters.size(); ++i)
    sum += std::pow(double{a.parameters[i]} - double{b.parameters[i]}, 2.0);
  return std::sqrt(sum);
}

class ModelDeltaTest : public testing::TestWithParam<CodecInfo> {
 protected:
  std::unique_ptr<Codec> codec_ = make_codec(GetParam().name);
};

// Masks come and go on the way.
TEST_P(ModelDeltaTest, AClientThatReceivesEveryFrameHoldsTheBitsOfTheCoordinatorsCopy) {
  constexpr std::int64_t kSize = 900;
  HeldModel server{normals(kSize, 1), {}};
  HeldModel client = server;
  for (int round = 1; round <= 6; ++round) {
    HeldModel now{normals(kSize, 10 + static_cast<std::uint64_t>(round)), server.mask};
    if (round == 3) now.mask = Mask(kSize);
    for (std::int64_t i = 0; round >= 3 && i < kSize; ++i) now.mask.set(i, i % (round + 1) != 0);
    if (round >= 3) now.mask.apply(now.parameters);
    const auto frame = encode_delta(server, now, "plan", *codec_, {.seed = 7, .task = round});
    EXPECT_EQ(receive_delta(frame, *codec_, server), "plan");
    EXPECT_EQ(receive_delta(frame, *make_codec(GetParam().name), client), "plan");
    EXPECT_EQ(client, server);
    EXPECT_EQ(server.mask, now.mask);
  }
}

// The coordinator's error feedback: towards a model that stands still the distance falls to nothing
// for a codec whose error is smaller than what it encodes.
TEST_P(ModelDeltaTest, WhatAFrameLeavesOutIsPartOfTheNext) {
  const HeldModel now{normals(2000, 1), {}};
  HeldModel held{normals(2000, 2), {}};
  const double before = distance(held, now);
  for (int frame = 0; frame < 60; ++frame)
    receive_delta(encode_delta(held, now, "", *codec_, {.seed = 1, .task = frame}), *codec_, held);
  EXPECT_LT(distance(held, now), 0.05 * before);
}

TEST_P(ModelDeltaTest, DamagedFramesAreRefusedAndChangeNothing) {
  Mask mask(40);
  mask.set(3, false);
  const HeldModel held{normals(40, 1), {}};
  HeldModel now{normals(40, 2), mask};
  const auto frame = encode_delta(held, now, "{}", *codec_, {});
  for (std::size_t length = 0; length < frame.size(); ++length) {
    HeldModel copy = held;
    EXPECT_THROW(receive_delta(std::span(frame).first(length), *codec_, copy), WireError);
    EXPECT_EQ(copy, held);
  }
  HeldModel other{normals(39, 1), {}};
  EXPECT_THROW(receive_delta(frame, *codec_, other), WireError);
  EXPECT_THROW(encode_delta(other, now, "", *codec_, {}), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Codecs, ModelDeltaTest,
                         testing::ValuesIn(known_codecs().begin(), known_codecs().end()),
                         [](const auto& codec) { return std::string(codec.param.name); });

}  // namespace
}  // namespace coppice
