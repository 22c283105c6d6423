#include "client/update_adder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

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
    EXPECT_EQ(row.bytes_up > 0, row.reason == RefusalReason::kOutOfRange) << bad;
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
  locals[3][19'999] = 5e5F;  // too large even shared out over what a sparse codec sends
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

INSTANTIATE_TEST_SUITE_P(Codecs, UpdateAdderTest,
                         testing::ValuesIn(known_codecs().begin(), known_codecs().end()),
                         [](const auto& codec) { return std::string(codec.param.name); });

}  // namespace
}  // namespace coppice
