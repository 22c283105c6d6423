// The round machine's part in giving layers their densities and bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "algorithms/regrowth.h"
#include "coordinator/allocation.h"
#include "deploy/file_bytes.h"
#include "deploy/layout_choice.h"
#include "tests/coordinator/fake_population.h"
#include "tests/core/thrown.h"
#include "tests/deploy/made_up_table.h"

namespace coppice {
namespace {

constexpr std::int64_t kTarget = 214;  // bytes; everything in 8 bits takes about 230

ExperimentConfig allocated_config(std::int64_t rounds, std::string_view allocator = "joint") {
  ExperimentConfig config = small_config(rounds);
  config.compress.constraints.max_bytes = kTarget;
  config.compress.allocate.allocator = allocator;
  config.compress.allocate.densities = {1.0, 0.6, 0.3, 0.1};
  config.compress.allocate.bits = {8};  // so that something is masked
  // Made-up updates are small: layers whose weights are nearly all new have no grid for their bias.
  config.compress.allocate.regrow.share = 0.2;
  config.compress.quantize.start = 0.7;
  config.strategy.server_momentum = 0.5;
  return config;
}

std::vector<std::string> allocator_names() {
  std::vector<std::string> names;
  for (const AllocatorInfo& info : known_allocators()) names.emplace_back(info.name);
  return names;
}

// Those whose masks only ever lose weights, in steps.
std::vector<std::string> one_way_names() {
  std::vector<std::string> names = allocator_names();
  std::erase_if(names, [](const std::string& name) { return regrow_method(name).has_value(); });
  return names;
}

// What holds whatever allocates.
class EveryAllocatorTest : public testing::TestWithParam<std::string> {
 protected:
  ExperimentConfig config(std::int64_t rounds) const {
    return allocated_config(rounds, GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Names, EveryAllocatorTest, testing::ValuesIn(allocator_names()),
                         [](const auto& named) { return named.param; });

using OneWayAllocatorTest = EveryAllocatorTest;
INSTANTIATE_TEST_SUITE_P(Names, OneWayAllocatorTest, testing::ValuesIn(one_way_names()),
                         [](const auto& named) { return named.param; });

bool senses(const ClientTask& task) { return task.sense.has_value(); }

TEST_P(OneWayAllocatorTest, FileFitsAndMaskedWeightsAreZeroOnceAndForAll) {
  FakeDriver driver(config(10), {});
  Action action = driver.begin();
  Mask before;
  while (!std::holds_alternative<Finish>(action)) {
    if (std::holds_alternative<CommitRound>(action)) {
      const ServerState& state = driver.state();
      for (std::int64_t i = 0; i < state.mask.size(); ++i) {
        if (state.mask.keeps(i)) {
          EXPECT_TRUE(before.size() == 0 || before.keeps(i)) << "weight " << i << " came back";
        } else {
          EXPECT_EQ(state.parameters[static_cast<std::size_t>(i)], 0.0F);
        }
      }
      before = state.mask;
    }
    action = driver.obey(action);
  }
  const ServerState& state = driver.state();
  EXPECT_LT(state.mask.kept(), state.graph.parameter_count());
  EXPECT_EQ(state.weight_bits.size(), 2U);
  EXPECT_EQ(state.choices, 4);
  EXPECT_LE(file_bytes(to_checkpoint(state, 10)).file, kTarget);
  EXPECT_LT(driver.records().back().density, 1.0);
}

TEST(AllocationTest, TablesAreAskedForAtTheEndsOfTheRoundsThatChoose) {
  FakeDriver driver(allocated_config(10), {});
  driver.run_all();
  std::vector<std::int64_t> rounds;
  for (const ClientTask& task : driver.tasks()) {
    if (senses(task)) rounds.push_back(task.round);
  }
  EXPECT_EQ(rounds, (std::vector<std::int64_t>{2, 3, 4, 6}));
  std::vector<std::string> phases;
  for (const RoundRecord& record : driver.records()) phases.push_back(record.plan.phase);
  EXPECT_EQ(phases,
            (std::vector<std::string>{"warmup", "allocate", "allocate", "allocate", "allocate",
                                      "allocate", "recover", "quantize", "quantize", "quantize"}));
}

TEST_P(EveryAllocatorTest, UpdatesOfAMaskedModelHaveWhatIsKept) {
  FakeDriver driver(config(10), {});
  Action action = driver.begin();
  while (!std::holds_alternative<Finish>(action)) {
    if (const auto* send = std::get_if<SendTask>(&action); send != nullptr && send->task.trains()) {
      const bool is_masked = driver.state().mask.size() > 0;
      EXPECT_EQ(send->task.plan.mask_rule, is_masked ? MaskRule::kKeepZero : MaskRule::kNone);
      // A report with all parameters is not one of a masked model.
      RankReport whole;
      whole.sums[sum_key(send->task)] = empty_sums(
          send->task, {.parameters = driver.state().graph.parameter_count(), .units = 0});
      if (driver.state().sent_parameters() < driver.state().graph.parameter_count()) {
        EXPECT_THROW(driver.machine().handle(ReportArrived{0, std::move(whole)}), Error);
        return;
      }
    }
    action = driver.obey(action);
  }
  FAIL() << "nothing was ever masked";
}

TEST_P(EveryAllocatorTest, GroupingOrderAndRefusedTablesOfOthersDoNotMatter) {
  FakePopulation population;
  population.poisoned_tables = {3};
  const ServerState one = FakeDriver(config(6), population).run_all();
  for (const std::int64_t sites : {2, 3, 6}) {
    for (std::int64_t deal = 0; deal < 3; ++deal) {
      const ServerState other = FakeDriver(config(6), population, sites, deal).run_all();
      EXPECT_EQ(other.parameters, one.parameters);
      EXPECT_EQ(other.mask, one.mask);
      EXPECT_EQ(other.weight_bits, one.weight_bits);
    }
  }
}

TEST_P(EveryAllocatorTest, RoundWithoutAnyTableIsMadeUpForByTheNext) {
  FakeDriver driver(config(10), {});
  Action action = driver.begin();
  bool is_lost = false;
  while (!std::holds_alternative<Finish>(action)) {
    const auto* send = std::get_if<SendTask>(&action);
    if (send != nullptr && senses(send->task) && !is_lost) {
      is_lost = true;
      EXPECT_EQ(send->task.round, 2);
      action = *driver.machine().handle(TimedOut{});
      EXPECT_EQ(driver.state().choices, 0);
    } else {
      action = driver.obey(action);
    }
  }
  EXPECT_EQ(driver.state().choices, 4);
  EXPECT_LE(file_bytes(to_checkpoint(driver.state(), 10)).file, kTarget);
}

TEST_P(EveryAllocatorTest, ResumedMachineEndsTheSame) {
  const ServerState undisturbed = FakeDriver(config(8), {}).run_all();
  for (std::size_t rounds = 1; rounds < 8; ++rounds) {
    FakeDriver first(config(8), {});
    first.run(first.begin(), rounds);
    const std::vector<std::uint8_t> bytes =
        to_bytes(to_checkpoint(first.state(), static_cast<std::int64_t>(rounds)));
    FakeDriver second(config(8), {});
    second.machine().restore(from_checkpoint(checkpoint_from_bytes(bytes, "test"),
                                             static_cast<std::int64_t>(rounds),
                                             first.state().norm_median));
    const ServerState& resumed = second.run_all();
    EXPECT_EQ(resumed.parameters, undisturbed.parameters) << rounds;
    EXPECT_EQ(resumed.mask, undisturbed.mask) << rounds;
    EXPECT_EQ(resumed.plan, undisturbed.plan) << rounds;
  }
}

TEST(AllocationTest, FileThatNeverFittedIsNotTakenApart) {
  FakeDriver driver(allocated_config(10), {});
  ServerState state = driver.run_all();
  const std::int64_t bytes = file_bytes(to_checkpoint(state, 10)).file;
  const Mask before = state.mask;
  fit_file(state, bytes / 2);
  EXPECT_EQ(state.mask, before);
}

TEST(AllocationTest, FileThatGrewIsMadeToFitBySmallWeightsAlone) {
  FakeDriver driver(allocated_config(10), {});
  ServerState state = driver.run_all();
  const std::int64_t bytes = file_bytes(to_checkpoint(state, 10)).file;
  ServerState same = state;
  fit_file(same, bytes);
  EXPECT_EQ(same.mask, state.mask);
  ServerState smaller = state;
  fit_file(smaller, bytes - 5);
  EXPECT_LE(file_bytes(to_checkpoint(smaller, 10)).file, bytes - 5);
  float largest_gone = 0.0F;
  float smallest_kept = std::numeric_limits<float>::max();
  for (const char* name : {"hidden.weight", "out.weight"}) {
    const ParameterSpec& spec =
        state.graph.parameters()[static_cast<std::size_t>(state.graph.parameter_named(name))];
    for (std::int64_t i = spec.offset; i < spec.offset + spec.size(); ++i) {
      const float before = std::abs(state.parameters[static_cast<std::size_t>(i)]);
      if (smaller.mask.keeps(i)) {
        if (before > 0.0F) smallest_kept = std::min(smallest_kept, before);
      } else if (state.mask.keeps(i)) {
        largest_gone = std::max(largest_gone, before);
      }
    }
  }
  EXPECT_GT(largest_gone, 0.0F);
  EXPECT_LE(largest_gone, smallest_kept);
}

TEST_P(EveryAllocatorTest, TargetThatNothingMeetsTakesTheSmallestChoice) {
  ExperimentConfig small = config(5);
  small.compress.constraints.max_bytes = 10;
  FakeDriver driver(small, {});
  const ServerState& state = driver.run_all();
  EXPECT_EQ(state.weight_bits, (std::vector<int>{8, 8}));
  for (const RoundRecord& record : driver.records())
    EXPECT_TRUE(!record.allotment || !record.allotment->fits);
}

TEST_P(OneWayAllocatorTest, RecordsSayWhatEachChoiceTakes) {
  FakeDriver driver(config(10), {});
  driver.run_all();
  std::vector<std::int64_t> bytes;
  for (const RoundRecord& record : driver.records()) {
    if (!record.allotment) continue;
    EXPECT_TRUE(record.allotment->fits);
    EXPECT_EQ(record.allotment->candidates.size(), 2U);
    bytes.push_back(record.allotment->bytes);
  }
  EXPECT_EQ(bytes.size(), 4U);
  EXPECT_LT(bytes.back(), bytes.front());  // each aims lower; what else the file holds varies a bit
}

// The model of 32 hidden units, whose weights are 8 and 8 blocks; its finished network is to take
// half as long as its dense one.
class BlockAllocationTest : public testing::Test {
 protected:
  BlockAllocationTest() {
    config_.compress.allocate.densities = {1.0, 0.5};
    config_.compress.allocate.block_densities = {0.75, 0.5, 0.25, 0.125};
    config_.compress.allocate.bits = {4, 8};
    config_.compress.constraints.max_bytes = std::nullopt;
    config_.compress.constraints.max_latency_us = limit();
    config_.compress.latency_table = "made up";
    population_.hidden = kHidden;
  }

  double limit() const { return table_.predict(lower_in_rows(in_integers(graph_))) / 2; }
  FakeDriver driver(std::int64_t sites = 1, std::int64_t deal = 0) const {
    return {config_, population_, sites, deal, {.latencies = &table_}};
  }
  // Blocks of a weight that are partly masked, and those of which something is kept.
  std::pair<int, int> broken_and_kept(const ServerState& state, const char* name) const {
    const ParameterSpec& spec =
        state.graph.parameters()[static_cast<std::size_t>(state.graph.parameter_named(name))];
    int broken = 0, kept = 0;
    for (std::int64_t row = 0; row < spec.shape[0]; row += 4) {
      for (std::int64_t column = 0; column < spec.shape[1]; column += 4) {
        std::int64_t here = 0, all = 0;
        for (std::int64_t r = row; r < std::min(row + 4, spec.shape[0]); ++r) {
          for (std::int64_t c = column; c < std::min(column + 4, spec.shape[1]); ++c, ++all)
            here += state.mask.keeps(spec.offset + r * spec.shape[1] + c) ? 1 : 0;
        }
        broken += here > 0 && here < all ? 1 : 0;
        kept += here > 0 ? 1 : 0;
      }
    }
    return {broken, kept};
  }

  static constexpr std::int64_t kHidden = 32;
  Graph graph_ = small_model(kHidden).graph;
  LatencyTable table_ = made_up_table(graph_);
  ExperimentConfig config_ = allocated_config(10);
  FakePopulation population_;
};

TEST_F(BlockAllocationTest, ALimitOnTimeAloneTakesWholeBlocksAndIsMet) {
  FakeDriver driven = driver();
  const ServerState state = driven.run_all();
  int kept = 0;
  for (const char* name : {"hidden.weight", "out.weight"}) {
    const auto [broken, whole] = broken_and_kept(state, name);
    EXPECT_EQ(broken, 0) << name;
    kept += whole;
  }
  EXPECT_LT(kept, 12);  // of 16
  EXPECT_GT(kept, 1);
  std::vector<double> microseconds;
  for (const RoundRecord& record : driven.records()) {
    if (record.allotment) microseconds.push_back(record.allotment->microseconds.value());
  }
  ASSERT_EQ(microseconds.size(), 4U);
  EXPECT_LE(microseconds.back(), limit());
  EXPECT_LT(microseconds.back(), microseconds.front());
  // By the time that the file is written, nothing has become slower.
  const runtime::Program program =
      with_chosen_layouts(lower_in_rows(to_checkpoint(state, 10)), &table_);
  EXPECT_LE(table_.predict(program), microseconds.back() + 1e-3);
}

TEST_F(BlockAllocationTest, BothLimitsAreMetTogether) {
  FakeDriver unbound = driver();
  const std::int64_t bytes = file_bytes(to_checkpoint(unbound.run_all(), 10), &table_).file;
  config_.compress.constraints.max_bytes = bytes - 20;
  FakeDriver driven = driver();
  const ServerState state = driven.run_all();
  const Checkpoint finished = to_checkpoint(state, 10);
  EXPECT_LE(file_bytes(finished, &table_).file, bytes - 20);
  EXPECT_LE(table_.predict(with_chosen_layouts(lower_in_rows(finished), &table_)), limit());
  EXPECT_LE(driven.records().back().density, 0.8);
}

TEST_F(BlockAllocationTest, GroupingAndOrderOfReportsDoNotMatter) {
  FakeDriver one = driver();
  const ServerState expected = one.run_all();
  for (const std::int64_t sites : {2, 3}) {
    FakeDriver other = driver(sites, sites);
    EXPECT_EQ(other.run_all().mask, expected.mask);
    EXPECT_EQ(other.state().parameters, expected.parameters);
  }
}

TEST_F(BlockAllocationTest, WithoutALimitOnTimeItIsOnlyReported) {
  config_.compress.constraints = {};
  config_.compress.constraints.max_bytes = 400;
  FakeDriver driven = driver();
  driven.run_all();
  int reported = 0;
  for (const RoundRecord& record : driven.records()) {
    if (!record.allotment) continue;
    ++reported;
    EXPECT_GT(record.allotment->microseconds.value(), 0.0);
    EXPECT_GT(record.allotment->file_bytes, record.allotment->bytes);
  }
  EXPECT_EQ(reported, 4);
}

TEST_F(BlockAllocationTest, WhatCannotBeMetIsNamedBeforeTheFirstRound) {
  const auto refusal = [&](const AllocationInputs& known) {
    return thrown_text<ConfigError>([&] { FakeDriver(config_, population_, 1, 0, known); });
  };
  EXPECT_TRUE(contains(refusal({}), "compress.constraints.max_latency"));
  const LatencyTable other = made_up_table(small_model(kHidden - 4).graph);
  EXPECT_TRUE(contains(refusal({.latencies = &other}), "latency table: node 'hidden'"));
  config_.compress.constraints.max_bytes = kTarget;
  for (const char* name : {"uniform", "magnitude"}) {
    config_.compress.allocate.allocator = name;
    EXPECT_TRUE(contains(refusal({.latencies = &table_}),
                         std::string("compress.constraints.max_latency: allocator '") + name))
        << name;
  }
  config_ = allocated_config(10);
  config_.compress.allocate.class_balance = true;
  EXPECT_TRUE(contains(refusal({}), "compress.allocate.class_balance"));
}

TEST(AllocationTest, ClassBalanceAsksWithTheCountsOfAllClients) {
  ExperimentConfig config = allocated_config(5);
  const AllocationInputs known{.class_counts = {70, 25}};
  for (const bool is_balanced : {false, true}) {
    config.compress.allocate.class_balance = is_balanced;
    FakeDriver driver(config, {}, 1, 0, known);
    driver.run_all();
    for (const ClientTask& task : driver.tasks()) {
      if (!senses(task)) continue;
      EXPECT_EQ(task.sense->class_counts,
                is_balanced ? known.class_counts : std::vector<std::int64_t>{});
    }
  }
}

TEST(AllocationTest, UnknownAllocatorIsNamedBeforeTheFirstRound) {
  EXPECT_TRUE(
      contains(thrown_text<ConfigError>([] { FakeDriver(allocated_config(3, "magnitud"), {}); }),
               "unknown allocator 'magnitud'; did you mean 'magnitude'?"));
}

}  // namespace
}  // namespace coppice
