#include "client/update_adder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/random.h"

namespace coppice {
namespace {

constexpr std::uint64_t kSeed = 3;

std::vector<float> normal(std::int64_t n, std::uint64_t seed, double scale) {
  std::vector<float> values(static_cast<std::size_t>(n));
  RandomStream stream({.seed = seed});
  for (float& value : values) value = static_cast<float>(scale * stream.next_normal());
  return values;
}

ClientTask task_with(std::string_view codec) {
  ClientTask task;
  task.round = 5;
  task.max_weight = 10'000;
  task.update_grid = grid_for(6, task.max_weight);
  task.codec = codec;
  return task;
}

ClientRow row_of(std::int64_t client, std::int64_t weight) {
  ClientRow row;
  row.client = client;
  row.weight = weight;
  return row;
}

// One client alone.
void add(UpdateAdder& adder, ClientRow& row, std::span<const float> global,
         std::span<const float> local, ExactSum& sum) {
  TrainedClient client{row, local};
  adder.add({&client, 1}, global, sum);
  row = client.row;
}

class UpdateAdderTest : public testing::TestWithParam<CodecInfo> {};

// The definition: subtract, encode into a frame, decode it, ExactSum::add.
TEST_P(UpdateAdderTest, SumAndBytesAreThoseOfTheFrameThatTravels) {
  const ClientTask task = task_with(GetParam().name);
  const auto codec = make_codec(task.codec, task.codec_options);
  for (const std::int64_t n : {1, 17, 300, 5000}) {
    const std::vector<float> global = normal(n, 1, 1.0);
    UpdateAdder adder(task, kSeed);
    ExactSum sum(n, task.update_grid, task.max_weight);
    ExactSum expected(n, task.update_grid, task.max_weight);
    for (std::int64_t client = 0; client < 4; ++client) {
      std::vector<float> local = normal(n, 10 + static_cast<std::uint64_t>(client), 0.01);
      std::ranges::transform(local, global, local.begin(), std::plus<>());
      ClientRow row = row_of(client, 1 + 700 * client);
      add(adder, row, global, local, sum);
      EXPECT_EQ(row.reason, RefusalReason::kNone);

      std::vector<float> update(local.size());
      std::ranges::transform(local, global, update.begin(), std::minus<>());
      std::vector<std::uint8_t> frame;
      codec->encode(update, {kSeed, Purpose::kRounding, client, task.round}, frame);
      codec->decode(frame, update);
      ASSERT_TRUE(expected.add(update, row.weight));
      EXPECT_EQ(row.bytes_up, static_cast<std::int64_t>(frame.size()));
    }
    EXPECT_TRUE(std::ranges::equal(sum.exchanged(), expected.exchanged())) << n;
  }
}

TEST_P(UpdateAdderTest, RefusedUpdatesLeaveTheSumAsItWas) {
  ClientTask task = task_with(GetParam().name);
  task.norm_bound = 1e6;
  const std::vector<float> global = normal(100, 1, 1.0);
  UpdateAdder adder(task, kSeed);
  ExactSum sum(100, task.update_grid, task.max_weight);
  ClientRow good = row_of(1, 9);
  add(adder, good, global, normal(100, 2, 1.0), sum);
  const std::vector<std::int64_t> before(sum.exchanged().begin(), sum.exchanged().end());
  const auto reason_for = [&](float bad) {
    std::vector<float> local = global;
    local[70] = bad;
    ClientRow row = row_of(2, 20);
    add(adder, row, global, local, sum);
    EXPECT_TRUE(std::ranges::equal(sum.exchanged(), before)) << bad;
    EXPECT_EQ(row.bytes_up, 0) << bad;  // a client knows, and sends nothing
    return row.reason;
  };
  EXPECT_EQ(reason_for(std::numeric_limits<float>::quiet_NaN()), RefusalReason::kNotFinite);
  EXPECT_EQ(reason_for(-std::numeric_limits<float>::infinity()), RefusalReason::kNotFinite);
  EXPECT_EQ(reason_for(1e30F), RefusalReason::kNormAboveBound);
  EXPECT_EQ(reason_for(1000.0F), RefusalReason::kOutOfRange);
}

TEST_P(UpdateAdderTest, ClientsAtOnceGiveTheRowsAndTheSumOfOneAfterAnother) {
  ClientTask task = task_with(GetParam().name);
  task.norm_bound = 1e6;
  constexpr std::int64_t kSize = 20'000;  // several blocks
  const std::vector<float> global = normal(kSize, 1, 1.0);
  std::vector<std::vector<float>> locals;
  std::vector<TrainedClient> together;
  for (std::int64_t client = 0; client < 6; ++client) {
    std::vector<float>& local =
        locals.emplace_back(normal(kSize, 10 + static_cast<std::uint64_t>(client), 0.01));
    std::ranges::transform(local, global, local.begin(), std::plus<>());
  }
  locals[1][12'345] = std::numeric_limits<float>::quiet_NaN();
  locals[3][19'999] = 9e5F;  // off the grid also as a mean over the tenth that stc keeps
  locals[5][0] = 1e30F;
  for (std::int64_t client = 0; client < 6; ++client)
    together.push_back({row_of(client, 1 + 10 * client), locals[static_cast<std::size_t>(client)]});
  UpdateAdder adder(task, kSeed);
  ExactSum sum(kSize, task.update_grid, task.max_weight);
  ExactSum expected(kSize, task.update_grid, task.max_weight);
  std::vector<ClientRow> alone;
  for (const TrainedClient& client : together)
    add(adder, alone.emplace_back(client.row), global, client.parameters, expected);
  adder.add(together, global, sum);
  EXPECT_TRUE(std::ranges::equal(sum.exchanged(), expected.exchanged()));
  EXPECT_EQ(sum.weight(), 1 + 21 + 41);
  constexpr RefusalReason kReasons[] = {RefusalReason::kNone, RefusalReason::kNotFinite,
                                        RefusalReason::kNone, RefusalReason::kOutOfRange,
                                        RefusalReason::kNone, RefusalReason::kNormAboveBound};
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(together[i].row.reason, kReasons[i]);
    EXPECT_EQ(alone[i].reason, kReasons[i]);
    EXPECT_EQ(together[i].row.bytes_up, alone[i].bytes_up);
    if (i != 1) {  // that one is not a number
      EXPECT_EQ(together[i].row.update_norm, alone[i].update_norm);
    }
  }
}

// What arrived and what is still held back make up all that was ever learnt: nothing is lost and
// nothing is sent twice.
TEST_P(UpdateAdderTest, WithFeedbackWhatArrivesAndWhatIsLeftAddUpToAllUpdates) {
  ClientTask task = task_with(GetParam().name);
  if (make_codec(task.codec)->lossless_frame_bytes(1)) GTEST_SKIP() << "leaves nothing out";
  constexpr std::int64_t kSize = 500;
  const std::vector<float> global(kSize);
  std::vector<float> residual(kSize);
  std::vector<double> wanted(kSize);
  std::vector<double> arrived(kSize);
  for (std::uint64_t round = 1; round <= 20; ++round) {
    task.round = static_cast<std::int64_t>(round);
    const std::vector<float> local = normal(kSize, 100 + round, 0.01);
    UpdateAdder adder(task, kSeed);
    ExactSum sum(kSize, task.update_grid, task.max_weight);
    TrainedClient client{row_of(1, 3), local, residual};
    adder.add({&client, 1}, global, sum);
    ASSERT_EQ(client.row.reason, RefusalReason::kNone);
    std::vector<float> mean(kSize);
    sum.mean(mean);
    for (std::size_t i = 0; i < kSize; ++i) {
      wanted[i] += double{local[i]};
      arrived[i] += double{mean[i]};
      ASSERT_NEAR(arrived[i] + double{residual[i]}, wanted[i], 1e-6) << round;
    }
  }
}

TEST(UpdateAdderFeedbackTest, AValueThatIsAlwaysTooSmallArrivesInTheEnd) {
  ClientTask task = task_with("topk");
  task.codec_options.fraction = 0.1;  // one of ten
  const std::vector<float> global(10);
  std::vector<float> local(10, 0.1F);
  local[4] = 1.0F;
  std::vector<float> residual(10);
  std::vector<double> arrived(10);
  for (int round = 1; round <= 40; ++round) {
    UpdateAdder adder(task, kSeed);
    ExactSum sum(10, task.update_grid, task.max_weight);
    TrainedClient client{row_of(1, 1), local, residual};
    adder.add({&client, 1}, global, sum);
    std::vector<float> mean(10);
    sum.mean(mean);
    for (std::size_t i = 0; i < 10; ++i) arrived[i] += double{mean[i]};
  }
  for (const double value : arrived) EXPECT_GT(value, 1.0);
}

TEST(UpdateAdderFeedbackTest, ARefusedUpdateLeavesTheResidualAsItWas) {
  ClientTask task = task_with("topk");
  task.norm_bound = 1.0;
  const std::vector<float> global(10);
  const std::vector<float> before = normal(10, 3, 1.0);
  UpdateAdder adder(task, kSeed);
  ExactSum sum(10, task.update_grid, task.max_weight);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 7.0F}) {
    std::vector<float> residual = before;
    const std::vector<float> local(10, bad);
    TrainedClient client{row_of(1, 1), local, residual};
    adder.add({&client, 1}, global, sum);
    EXPECT_NE(client.row.reason, RefusalReason::kNone);
    EXPECT_EQ(residual, before);
  }
  std::vector<float> far(10);
  far[2] = 1e6F;  // off the grid
  const std::vector<float> kept = far;
  TrainedClient client{row_of(1, 1), global, far};
  adder.add({&client, 1}, global, sum);
  EXPECT_EQ(client.row.reason, RefusalReason::kOutOfRange);
  EXPECT_EQ(far, kept);
}

TEST(UpdateAdderOptionsTest, EveryClientIsEncodedWithItsOwn) {
  ClientTask task = task_with("qsgd");
  task.cohort = {2, 5};
  task.client_options = {{.levels = 1}, {.levels = 5000}};
  const std::vector<float> global(2000);
  const std::vector<float> local = normal(2000, 3, 0.01);
  UpdateAdder adder(task, kSeed);
  ExactSum sum(2000, task.update_grid, task.max_weight);
  ClientRow coarse = row_of(2, 1);
  ClientRow fine = row_of(5, 1);
  add(adder, coarse, global, local, sum);
  add(adder, fine, global, local, sum);
  EXPECT_LT(4 * coarse.bytes_up, fine.bytes_up);
  ClientRow stranger = row_of(3, 1);
  EXPECT_THROW(add(adder, stranger, global, local, sum), Error);
}

INSTANTIATE_TEST_SUITE_P(Codecs, UpdateAdderTest,
                         testing::ValuesIn(known_codecs().begin(), known_codecs().end()),
                         [](const auto& codec) { return std::string(codec.param.name); });

}  // namespace
}  // namespace coppice
