#include "launch/command_frame.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/random.h"

namespace coppice {
namespace {

StepCommand sample() {
  return {.kind = StepKind::kTrain,
          .exit_code = 3,
          .task_frame = {1, 2, 3},
          .model_frame = {4, 5},
          .model_bytes = 77,
          .residual_frame = {7},
          .reference_frame = {6},
          .assignments = {{7, 8}, {}, {9}}};
}

TEST(CommandFrameTest, CommandsReadBackEqual) {
  const StepCommand back = decode_command(encode_command(sample()));
  EXPECT_EQ(back.kind, StepKind::kTrain);
  EXPECT_EQ(back.exit_code, 3);
  EXPECT_EQ(back.task_frame, sample().task_frame);
  EXPECT_EQ(back.model_frame, sample().model_frame);
  EXPECT_EQ(back.reference_frame, sample().reference_frame);
  EXPECT_EQ(back.model_bytes, 77);
  EXPECT_EQ(back.residual_frame, sample().residual_frame);
  EXPECT_EQ(back.assignments, sample().assignments);
  EXPECT_EQ(decode_command(encode_command({})).kind, StepKind::kStop);
}

TEST(CommandFrameTest, EveryTruncationIsRefused) {
  std::vector<std::uint8_t> bytes = encode_command(sample());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    ASSERT_THROW(decode_command(std::span(bytes).first(n)), WireError) << n;
  }
  bytes.push_back(0);
  EXPECT_THROW(decode_command(bytes), WireError);
}

TEST(CommandFrameTest, FlippedBytesGiveAnErrorOrACommand) {
  const std::vector<std::uint8_t> whole = encode_command(sample());
  RandomStream stream({.task = 1});
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::uint8_t> damaged = whole;
    for (int flips = 0; flips < 2; ++flips) {
      damaged[stream.next_below(damaged.size())] =
          static_cast<std::uint8_t>(stream.next_below(256));
    }
    try {
      decode_command(damaged);
    } catch (const WireError&) {
    }
  }
}

}  // namespace
}  // namespace coppice
