#include "core/mask.h"

#include <gtest/gtest.h>

#include "tests/core/thrown.h"

namespace coppice {
namespace {

TEST(MaskTest, ApplyZeroesWhatIsMaskedAndNothingElse) {
  for (const std::int64_t size : {1, 63, 64, 65, 130}) {
    Mask mask(size);
    for (std::int64_t i = 0; i < size; i += 3) mask.set(i, false);
    std::vector<float> values(static_cast<std::size_t>(size), 2.0F);
    mask.apply(values);
    for (std::int64_t i = 0; i < size; ++i) {
      ASSERT_EQ(values[static_cast<std::size_t>(i)], i % 3 == 0 ? 0.0F : 2.0F) << size << ' ' << i;
      ASSERT_EQ(mask.keeps(i), i % 3 != 0);
    }
    EXPECT_EQ(mask.kept(), size - (size + 2) / 3);
  }
  std::vector<float> wrong(3);
  EXPECT_THROW(Mask(4).apply(wrong), ConfigError);
}

TEST(MaskTest, DensityCountsAgainstTheOriginalModel) {
  Mask mask(10);
  mask.set(0, false);
  mask.set(0, false);
  EXPECT_DOUBLE_EQ(mask.density(10), 0.9);
  EXPECT_DOUBLE_EQ(mask.density(20), 0.45);  // half of the original was removed before
  EXPECT_DOUBLE_EQ(Mask().density(0), 0.0);
  EXPECT_EQ(Mask(10, false).kept(), 0);
  mask.set(0, true);
  EXPECT_EQ(mask, Mask(10));
}

TEST(MaskTest, WordsReadBackAndHoldNoBitPastTheEnd) {
  Mask mask(70);
  mask.set(69, false);
  const std::vector<std::uint64_t> words(mask.words().begin(), mask.words().end());
  ASSERT_EQ(words.size(), 2U);
  EXPECT_EQ(words[1], 0x1FU);
  EXPECT_EQ(Mask::from_words(70, words), mask);
  EXPECT_THROW(Mask::from_words(69, {words[0], 0x20}), DataError);  // bit 69 of 69
  EXPECT_THROW(Mask::from_words(128, {words[0]}), DataError);
  EXPECT_THROW(Mask::from_words(64, words), DataError);
  EXPECT_THROW(Mask::from_words(-1, {}), DataError);
  EXPECT_THROW(Mask::from_words(INT64_MAX, {}), DataError);
  EXPECT_EQ(Mask::from_words(0, {}), Mask(0));
}

TEST(MaskTest, ProjectionKeepsWhatBothMasksKeep) {
  Mask from(130);
  Mask to(130);
  from.set(1, false);
  from.set(129, false);
  to.set(0, false);
  to.set(64, false);
  std::vector<float> values;
  for (const std::int64_t index : from.kept_indices()) values.push_back(static_cast<float>(index));
  std::vector<float> expected;
  for (const std::int64_t index : to.kept_indices())
    expected.push_back(from.keeps(index) ? static_cast<float>(index) : 0.0F);
  EXPECT_EQ(project(values, from, to), expected);
  EXPECT_EQ(project(values, from, from), values);
  EXPECT_THROW(project(values, to, Mask(129)), ConfigError);
  values.pop_back();
  EXPECT_THROW(project(values, from, to), ConfigError);
}

// 6 x 5 elements from offset 3: 2 x 2 blocks, of which the last ones hold 2 rows or 1 column.
TEST(BlockViewTest, BlocksAtTheEdgesHoldOnlyWhatExists) {
  const BlockView view(3, 6, 5);
  EXPECT_EQ(view.block_rows(), 2);
  EXPECT_EQ(view.block_columns(), 2);
  const std::int64_t expected[2][2] = {{16, 4}, {8, 2}};
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t column = 0; column < 2; ++column) {
      Mask mask(40, false);
      view.set(mask, row, column, true);
      EXPECT_EQ(mask.kept(), expected[row][column]);
      EXPECT_EQ(view.kept_blocks(mask), 1);
      EXPECT_TRUE(view.keeps_any(mask, row, column));
      EXPECT_FALSE(view.keeps_any(mask, 1 - row, column));
      EXPECT_FALSE(mask.keeps(2));   // before the view
      EXPECT_FALSE(mask.keeps(33));  // after it
    }
  }
}

TEST(BlockViewTest, BlockIsFourOutputsByFourConsecutiveElements) {
  Mask mask(8 * 8, false);
  BlockView(0, 8, 8).set(mask, 1, 0, true);
  for (std::int64_t row = 0; row < 8; ++row) {
    for (std::int64_t column = 0; column < 8; ++column) {
      EXPECT_EQ(mask.keeps(row * 8 + column), row >= 4 && column < 4);
    }
  }
}

TEST(BlockViewTest, OneKeptElementKeepsItsBlock) {
  const BlockView view(0, 8, 8);
  Mask mask(64, false);
  mask.set(63, true);
  EXPECT_EQ(view.kept_blocks(mask), 1);
  EXPECT_TRUE(view.keeps_any(mask, 1, 1));
  view.set(mask, 1, 1, false);
  EXPECT_EQ(mask.kept(), 0);
}

}  // namespace
}  // namespace coppice
