// The round machine's part in moving a mask.
#include "coordinator/regrowth.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "deploy/file_bytes.h"
#include "tests/coordinator/fake_population.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

constexpr std::int64_t kTarget = 206;  // bytes; everything in 8 bits takes about 230

// The mask is made after round 1 and moved after rounds 3, 5 and 7; 8 to 10 are quantized.
ExperimentConfig moving_config(std::string_view allocator) {
  ExperimentConfig config = small_config(10);
  config.compress.constraints.max_bytes = kTarget;
  config.compress.allocate.allocator = allocator;
  config.compress.allocate.bits = {8};  // so that something is masked
  config.compress.allocate.start = 0.0;
  config.compress.allocate.end = 0.7;
  config.compress.quantize.start = 0.7;
  config.strategy.server_momentum = 0.5;
  return config;
}

// What is made up is large enough for a layer of new weights to have a grid that fits its bias.
FakePopulation moving_population() {
  FakePopulation population;
  population.scale = 0.2;
  return population;
}

class RegrowingTest : public testing::TestWithParam<const char*> {
 protected:
  ExperimentConfig config() const { return moving_config(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Allocators, RegrowingTest, testing::Values("feddst", "fedrts"),
                         [](const auto& named) { return std::string(named.param); });

// Weights of the layer that `mask` keeps.
std::int64_t kept_in(const Mask& mask, const ParameterSpec& spec) {
  std::int64_t out = 0;
  for (std::int64_t i = 0; i < spec.size(); ++i) out += mask.keeps(spec.offset + i) ? 1 : 0;
  return out;
}

struct Moment {
  std::int64_t round = 0;
  ServerState state;  // after it
};

std::vector<Moment> run_and_watch(FakeDriver& driver) {
  std::vector<Moment> out;
  Action action = driver.begin();
  while (!std::holds_alternative<Finish>(action)) {
    const auto* commit = std::get_if<CommitRound>(&action);
    const std::int64_t round = commit != nullptr ? commit->record.plan.round : 0;
    if (round > 0) out.push_back({round, driver.state()});
    action = driver.obey(action);
  }
  return out;
}

TEST_P(RegrowingTest, MaskIsMadeOnceAndThenMovedByBallots) {
  FakeDriver driver(config(), moving_population());
  const std::vector<Moment> moments = run_and_watch(driver);
  std::vector<std::int64_t> sensing;
  std::vector<std::int64_t> moving;
  for (const ClientTask& task : driver.tasks()) {
    if (task.sense) sensing.push_back(task.round);
    if (task.regrow) moving.push_back(task.round);
  }
  EXPECT_EQ(sensing, std::vector<std::int64_t>{1});
  EXPECT_EQ(moving, (std::vector<std::int64_t>{3, 5, 7}));
  ASSERT_EQ(moments.size(), 10U);
  for (std::size_t m = 1; m < moments.size(); ++m) {
    const bool is_moved = std::ranges::count(moving, moments[m].round) > 0;
    if (moments[m].round >= 7) break;  // from here on the file is made to fit as well
    EXPECT_EQ(moments[m].state.mask != moments[m - 1].state.mask, is_moved) << moments[m].round;
    EXPECT_EQ(moments[m].state.mask_epoch, moments[m - 1].state.mask_epoch + (is_moved ? 1 : 0));
  }
  EXPECT_EQ(driver.state().choices, 4);
  EXPECT_LE(file_bytes(to_checkpoint(driver.state(), 10)).file, kTarget);
}

// Until the file is made to fit, every layer keeps as many; what comes is zero, without momentum,
// and does not stay zero.
TEST_P(RegrowingTest, WhatComesStartsAtZeroAndIsTrained) {
  FakeDriver driver(config(), moving_population());
  const std::vector<Moment> moments = run_and_watch(driver);
  std::int64_t came = 0;
  std::int64_t left_zero = 0;
  for (std::size_t m = 1; m < 6; ++m) {
    const ServerState& before = moments[m - 1].state;
    const ServerState& after = moments[m].state;
    for (const ParameterSpec& spec : after.graph.parameters())
      EXPECT_EQ(kept_in(after.mask, spec), kept_in(before.mask, spec)) << spec.name;
    for (std::int64_t i = 0; i < after.mask.size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (after.mask.keeps(i) == before.mask.keeps(i)) continue;
      EXPECT_EQ(after.parameters[at], 0.0F);
      ASSERT_FALSE(after.strategy_state.empty());
      for (const auto& [name, buffer] : after.strategy_state) EXPECT_EQ(buffer.at(at), 0.0F);
      if (!after.mask.keeps(i)) continue;
      ++came;
      left_zero += moments[m + 1].state.parameters[at] == 0.0F ? 1 : 0;
    }
  }
  EXPECT_GT(came, 3);
  EXPECT_EQ(left_zero, 0);
}

TEST_P(RegrowingTest, MaskedWeightsAreZeroAfterEveryRound) {
  FakeDriver driver(config(), moving_population());
  for (const Moment& moment : run_and_watch(driver)) {
    for (std::int64_t i = 0; i < moment.state.mask.size(); ++i) {
      if (moment.state.mask.keeps(i)) continue;
      EXPECT_EQ(moment.state.parameters[static_cast<std::size_t>(i)], 0.0F) << moment.round;
    }
  }
}

TEST_P(RegrowingTest, GroupingAndOrderDoNotMatter) {
  const ServerState one = FakeDriver(config(), moving_population()).run_all();
  for (const std::int64_t sites : {2, 3, 6}) {
    for (std::int64_t deal = 0; deal < 3; ++deal) {
      const ServerState other = FakeDriver(config(), moving_population(), sites, deal).run_all();
      EXPECT_EQ(other.parameters, one.parameters);
      EXPECT_EQ(other.mask, one.mask);
      EXPECT_EQ(other.mask_posterior, one.mask_posterior);
    }
  }
}

TEST_P(RegrowingTest, ResumedMachineEndsTheSame) {
  const ServerState undisturbed = FakeDriver(config(), moving_population()).run_all();
  for (std::size_t rounds = 1; rounds < 10; ++rounds) {
    FakeDriver first(config(), moving_population());
    first.run(first.begin(), rounds);
    const std::vector<std::uint8_t> bytes =
        to_bytes(to_checkpoint(first.state(), static_cast<std::int64_t>(rounds)));
    FakeDriver second(config(), moving_population());
    second.machine().restore(from_checkpoint(checkpoint_from_bytes(bytes, "test"),
                                             static_cast<std::int64_t>(rounds),
                                             first.state().norm_median));
    const ServerState& resumed = second.run_all();
    EXPECT_EQ(resumed.parameters, undisturbed.parameters) << rounds;
    EXPECT_EQ(resumed.mask, undisturbed.mask) << rounds;
    EXPECT_EQ(resumed.mask_posterior, undisturbed.mask_posterior) << rounds;
  }
}

TEST_P(RegrowingTest, RoundWithoutAnyBallotIsMadeUpForByTheNext) {
  FakePopulation mute = moving_population();
  mute.silent = {0, 1, 2, 3, 4, 5};
  FakeDriver driver(config(), mute);
  const std::vector<Moment> moments = run_and_watch(driver);
  std::vector<std::int64_t> asked;
  for (const ClientTask& task : driver.tasks()) {
    if (task.regrow) asked.push_back(task.round);
    EXPECT_TRUE(!task.sense || task.round == 1) << "another mask was made";
  }
  EXPECT_EQ(asked, (std::vector<std::int64_t>{3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(moments.back().state.mask, moments.front().state.mask);
  EXPECT_EQ(driver.state().choices, 1);
}

// Who is silent has no say, and changes nothing for the others.
TEST_P(RegrowingTest, BallotsCountByTheWeightOfThoseWhoVoted) {
  const FakePopulation all = moving_population();
  FakePopulation some = all;
  some.silent = {3};
  FakeDriver with(config(), all);
  FakeDriver without(config(), some);
  const auto one = run_and_watch(with);
  const auto other = run_and_watch(without);
  EXPECT_EQ(one[1].state.mask, other[1].state.mask);
  EXPECT_NE(one[2].state.mask, other[2].state.mask);
  EXPECT_EQ(other[2].state.choices, 2);
}

TEST(RegrowthMachineTest, PosteriorIsOfFedrtsAloneAndGrowsByTheEvidence) {
  FakeDriver votes(moving_config("feddst"), moving_population());
  EXPECT_TRUE(votes.run_all().mask_posterior.empty());
  ExperimentConfig config = moving_config("fedrts");
  config.compress.allocate.regrow.evidence = 4.0;
  FakeDriver drawn(config, moving_population());
  const std::vector<Moment> moments = run_and_watch(drawn);
  EXPECT_TRUE(moments[1].state.mask_posterior.empty());
  const std::size_t weights = 3 * 8 + 8 * 2;
  for (const std::size_t m : {2U, 3U, 4U, 6U}) {
    const std::vector<float>& posterior = moments[m].state.mask_posterior;
    ASSERT_EQ(posterior.size(), 2 * weights);
    const auto adjustments = m < 4 ? 1.0F : m < 6 ? 2.0F : 3.0F;
    for (std::size_t i = 0; i < weights; ++i)
      EXPECT_NEAR(posterior[i] + posterior[weights + i], 2.0F + 4.0F * adjustments, 1e-5F);
  }
}

TEST(RegrowthMachineTest, SeedDecidesWhatIsDrawn) {
  ExperimentConfig other = moving_config("fedrts");
  other.seed = 2;
  FakeDriver one(moving_config("fedrts"), moving_population());
  FakeDriver two(other, moving_population());
  EXPECT_NE(run_and_watch(one)[2].state.mask, run_and_watch(two)[2].state.mask);
}

TEST(RegrowthMachineTest, ShareOfTheConfigIsTheFirstAdjustments) {
  for (const auto& [allocator, usual] : {std::pair("feddst", 0.5), std::pair("fedrts", 0.2)}) {
    for (const std::optional<double> share : {std::optional<double>(), std::optional(0.3)}) {
      ExperimentConfig config = moving_config(allocator);
      config.compress.allocate.regrow.share = share;
      FakeDriver driver(config, moving_population());
      driver.run_all();
      const auto first = std::ranges::find_if(
          driver.tasks(), [](const ClientTask& task) { return task.regrow.has_value(); });
      ASSERT_NE(first, driver.tasks().end());
      for (const RegrowLayer& layer : first->regrow->layers) {
        const auto kept = static_cast<double>(layer.kept + layer.grown);
        const std::int64_t room = layer.weights - layer.kept - layer.grown;
        EXPECT_EQ(layer.grown,
                  std::min<std::int64_t>(room, std::llround(share.value_or(usual) * kept)));
      }
    }
  }
}

TEST(RegrowthMachineTest, WhatCannotBeMovedIsRefusedBeforeTheFirstRound) {
  ExperimentConfig config = moving_config("feddst");
  config.compress.allocate.steps = 1;
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { FakeDriver(config, {}); }),
                       "compress.allocate.steps: feddst makes a mask and then moves it"));
  config = moving_config("fedrts");
  config.compress.prune.pruner = "magnitude";
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { FakeDriver(config, {}); }),
                       "compress.prune.pruner: fedrts"));
}

}  // namespace
}  // namespace coppice
