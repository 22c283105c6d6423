#include "algorithms/server_step.h"

#include <gtest/gtest.h>

#include "algorithms/strategy.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

StrategyConfig named(const char* name) {
  StrategyConfig config;
  config.name = name;
  return config;
}

TEST(ServerStepTest, PlainStepAddsTheMeanAndKeepsNoState) {
  StrategyConfig config;
  config.server_lr = 0.5;
  std::vector<float> global{1.0F, -2.0F};
  NamedBuffers state;
  server_step(config, std::vector{4.0F, 8.0F}, global, state);
  EXPECT_EQ(global, (std::vector{3.0F, 2.0F}));
  EXPECT_TRUE(state.empty());
}

// With equal updates u: v_t = u (1 - m^t) / (1 - m); w_t - w_0 = lr * sum of v.
TEST(ServerStepTest, MomentumIsTheGeometricSum) {
  StrategyConfig config;
  config.server_lr = 2.0;
  config.server_momentum = 0.5;
  std::vector<float> global{0.0F};
  NamedBuffers state;
  for (int t = 0; t < 3; ++t) server_step(config, std::vector{1.0F}, global, state);
  EXPECT_EQ(state.at("server_momentum"), std::vector{1.75F});
  EXPECT_EQ(global[0], 2.0F * (1.0F + 1.5F + 1.75F));
  server_step(config, std::vector{0.0F}, global, state);  // coasts on
  EXPECT_EQ(global[0], 2.0F * (1.0F + 1.5F + 1.75F + 0.875F));
}

TEST(ServerStepTest, OnlyBuffersOfTheArenasSizeShrink) {
  NamedBuffers state{{"momentum", {1.0F, 2.0F, 3.0F}}, {"counts", {7.0F}}};
  shrink_state(state, IndexMap(3, {0, 2}));
  EXPECT_EQ(state, (NamedBuffers{{"momentum", {1.0F, 3.0F}}, {"counts", {7.0F}}}));
}

TEST(FedProxTest, PlanAsksForTheProximalTerm) {
  StrategyConfig config = named("fedprox");
  config.mu = 0.25;
  LocalPlan plan;
  make_strategy(config)->plan(plan);
  EXPECT_EQ(plan.prox_mu, 0.25);
  LocalPlan average;
  make_strategy(named("fedavg"))->plan(average);
  EXPECT_EQ(average, LocalPlan());
  config.mu = -0.1;
  EXPECT_TRUE(
      contains(thrown_text<ConfigError>([&] { make_strategy(config); }), "mu >= 0, got -0.1"));
}

}  // namespace
}  // namespace coppice
