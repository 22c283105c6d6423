// What every strategy of strategies.def must satisfy, whatever it does.
#include <gtest/gtest.h>

#include <algorithm>

#include "algorithms/strategy.h"
#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

constexpr std::size_t kSize = 100;

// Every strategy, plain and with server momentum.
std::vector<StrategyConfig> all_configs() {
  std::vector<StrategyConfig> configs;
  for (const StrategyInfo& info : known_strategies()) {
    StrategyConfig config;
    config.name = info.name;
    configs.push_back(config);
    config.server_momentum = 0.9;
    config.server_lr = 0.5;
    configs.push_back(config);
  }
  return configs;
}

std::vector<float> values(std::int64_t task) {
  RandomStream stream({.task = task});
  std::vector<float> out(kSize);
  for (float& value : out) value = static_cast<float>(stream.next_normal());
  return out;
}

// The global model after a few rounds with fixed updates, and the state.
struct Course {
  std::vector<float> global = values(0);
  NamedBuffers state;
};

Course after_rounds(const StrategyConfig& config, std::int64_t rounds) {
  Course course;
  const auto strategy = make_strategy(config);
  for (std::int64_t r = 1; r <= rounds; ++r)
    strategy->apply(values(r), course.global, course.state);
  return course;
}

TEST(StrategyContractTest, ZeroUpdateLeavesAFreshModelAlone) {
  for (const StrategyConfig& config : all_configs()) {
    Course course;
    make_strategy(config)->apply(std::vector<float>(kSize), course.global, course.state);
    EXPECT_EQ(course.global, Course().global) << config.name;
  }
}

TEST(StrategyContractTest, SameInputsGiveTheSameBits) {
  for (const StrategyConfig& config : all_configs()) {
    const Course one = after_rounds(config, 3);
    const Course two = after_rounds(config, 3);
    EXPECT_EQ(one.global, two.global) << config.name;
    EXPECT_EQ(one.state, two.state) << config.name;
  }
}

// All memory is in the buffers: a new object goes on where the old one stopped.
TEST(StrategyContractTest, NothingIsRememberedOutsideTheState) {
  for (const StrategyConfig& config : all_configs()) {
    Course resumed = after_rounds(config, 2);
    make_strategy(config)->apply(values(3), resumed.global, resumed.state);
    EXPECT_EQ(resumed.global, after_rounds(config, 3).global) << config.name;
  }
}

TEST(StrategyContractTest, ElementsDoNotInfluenceEachOther) {
  for (const StrategyConfig& config : all_configs()) {
    Course course;
    const auto strategy = make_strategy(config);
    std::vector<float> update(kSize);
    update[7] = 1.0F;
    strategy->apply(update, course.global, course.state);
    const std::vector<float> before = Course().global;
    for (std::size_t i = 0; i < kSize; ++i)
      EXPECT_EQ(course.global[i] == before[i], i != 7) << config.name << i;
  }
}

// A model that shrinks between rounds: gathering state and parameters is the same as never having
// had the rest.
TEST(StrategyContractTest, StateShrinksWithTheModel) {
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(kSize); i += 3) kept.push_back(i);
  const IndexMap map(kSize, kept);
  for (const StrategyConfig& config : all_configs()) {
    const auto strategy = make_strategy(config);
    Course shrunk = after_rounds(config, 2);
    shrunk.global = map.gather(shrunk.global);
    shrink_state(shrunk.state, map);
    strategy->apply(map.gather(values(3)), shrunk.global, shrunk.state);
    EXPECT_EQ(shrunk.global, map.gather(after_rounds(config, 3).global)) << config.name;
    for (const auto& [name, buffer] : shrunk.state) EXPECT_EQ(buffer.size(), kept.size()) << name;
  }
}

TEST(StrategyContractTest, PlanKeepsWhatTheConfigAskedFor) {
  for (const StrategyConfig& config : all_configs()) {
    LocalPlan plan;
    plan.optimizer.lr = 0.125;
    plan.epochs = 3;
    plan.batch_size = 17;
    plan.clip_norm = 2.0;
    make_strategy(config)->plan(plan);
    EXPECT_EQ(plan.optimizer.lr, 0.125) << config.name;
    EXPECT_EQ(plan.epochs, 3) << config.name;
    EXPECT_EQ(plan.batch_size, 17) << config.name;
    EXPECT_EQ(plan.clip_norm, 2.0) << config.name;
  }
}

TEST(StrategyContractTest, BadServerStepsAreRefused) {
  for (const StrategyInfo& info : known_strategies()) {
    EXPECT_FALSE(info.sentence.empty());
    for (const auto& [lr, momentum] : {std::pair(0.0, 0.0), {-1.0, 0.0}, {1.0, 1.0}, {1.0, -0.1}}) {
      StrategyConfig config;
      config.name = info.name;
      config.server_lr = lr;
      config.server_momentum = momentum;
      EXPECT_THROW(make_strategy(config), ConfigError) << info.name << lr << momentum;
    }
  }
}

TEST(StrategyRegistryTest, UnknownNamesAreAnsweredWithTheNearest) {
  StrategyConfig config;
  config.name = "fedporx";
  const std::string error = thrown_text<ConfigError>([&] { make_strategy(config); });
  EXPECT_TRUE(contains(error, "'fedporx'; did you mean 'fedprox'?")) << error;
}

}  // namespace
}  // namespace coppice
