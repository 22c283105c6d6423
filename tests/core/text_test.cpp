#include "core/text.h"

#include <gtest/gtest.h>

#include <array>

namespace coppice {
namespace {

constexpr std::array<std::string_view, 3> kNames{"fedavg", "fedprox", "scaffold"};

TEST(TextTest, NearestNameHasTheFewestEdits) {
  EXPECT_EQ(nearest_name("fedporx", kNames), "fedprox");
  EXPECT_EQ(nearest_name("fedavg", kNames), "fedavg");
  EXPECT_EQ(nearest_name("scafold", kNames), "scaffold");
  EXPECT_EQ(nearest_name("", kNames), "fedavg");  // 6 insertions, the fewest
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(TextTest, UnknownNameSuggestsListsAndQuotesOnlyTheBeginning) {
  EXPECT_EQ(unknown_name("strategy", "fedporx", kNames),
            "unknown strategy 'fedporx'; did you mean 'fedprox'? known: fedavg, fedprox, scaffold");
  EXPECT_LT(unknown_name("strategy", std::string(100'000, 'x'), kNames).size(), 200U);
}

TEST(TextTest, BytesAreShownInDecimalMultiples) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1240), "1.24 kB");
  EXPECT_EQ(human_bytes(177'704), "177.7 kB");
  EXPECT_EQ(human_bytes(1.5e15), "1500.0 TB");
}

TEST(TextTest, HexHasTwoLowerCaseDigitsAByte) {
  const std::array<std::uint8_t, 3> bytes{0x00, 0x0A, 0xFF};
  EXPECT_EQ(hex(bytes), "000aff");
  EXPECT_EQ(hex({}), "");
}

TEST(TextTest, JoinPutsTheSeparatorBetweenParts) {
  const std::array<std::int64_t, 3> numbers{6, 24, 24};
  EXPECT_EQ(join(numbers, "x"), "6x24x24");
  EXPECT_EQ(join(kNames), "fedavg, fedprox, scaffold");
  EXPECT_EQ(join(std::span<const std::int64_t>{}), "");
}

}  // namespace
}  // namespace coppice
