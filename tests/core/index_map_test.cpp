#include "core/index_map.h"

#include <gtest/gtest.h>

#include "tests/core/thrown.h"

namespace coppice {
namespace {

TEST(IndexMapTest, GatherTakesTheKeptValuesInOrder) {
  const IndexMap map(5, {0, 2, 4});
  EXPECT_EQ(map.gather(std::vector{1.0F, 2.0F, 3.0F, 4.0F, 5.0F}), (std::vector{1.0F, 3.0F, 5.0F}));
  EXPECT_EQ(map.old_size(), 5);
  EXPECT_EQ(map.new_size(), 3);
  EXPECT_THROW(map.gather(std::vector{1.0F}), ConfigError);
}

TEST(IndexMapTest, ThenIsOneGatherAfterTheOther) {
  const IndexMap first(6, {0, 1, 3, 5});
  const IndexMap second(4, {1, 3});
  const std::vector<float> values{10, 11, 12, 13, 14, 15};
  EXPECT_EQ(first.then(second).gather(values), second.gather(first.gather(values)));
  EXPECT_EQ(first.then(second), IndexMap(6, {1, 5}));
  EXPECT_THROW(second.then(first), ConfigError);
}

TEST(IndexMapTest, IdentityChangesNothing) {
  const IndexMap map(6, {2, 4});
  EXPECT_EQ(IndexMap::identity(6).then(map), map);
  EXPECT_EQ(map.then(IndexMap::identity(2)), map);
  EXPECT_EQ(IndexMap::identity(0).gather(std::vector<float>{}), std::vector<float>{});
}

TEST(IndexMapTest, WhatAMaskKeepsGoesOutAndBack) {
  Mask mask(70, false);
  for (const std::int64_t kept : {0, 5, 63, 64, 69}) mask.set(kept, true);
  const IndexMap map = IndexMap::kept_by(mask);
  EXPECT_EQ(map, IndexMap(70, {0, 5, 63, 64, 69}));
  EXPECT_EQ(map.gather_mask(mask), Mask(5));
  std::vector<float> values(70, 1.0F);
  mask.apply(values);
  EXPECT_EQ(map.scatter(map.gather(values)), values);
  EXPECT_THROW(map.scatter(std::vector<float>(4)), ConfigError);
  EXPECT_THROW(map.gather_mask(Mask(69)), ConfigError);
}

TEST(IndexMapTest, IndicesThatDoNotAscendInsideTheOldLayoutThrow) {
  for (const std::vector<std::int64_t>& bad :
       {std::vector<std::int64_t>{1, 1}, {2, 1}, {-1}, {3}}) {
    EXPECT_THROW(IndexMap(3, bad), ConfigError);
  }
}

}  // namespace
}  // namespace coppice
