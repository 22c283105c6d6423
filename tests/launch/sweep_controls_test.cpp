#include "launch/sweep_controls.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/config/config.h"

namespace coppice {
namespace {

ExperimentConfig with_control(std::uint64_t seed, std::int64_t max_bytes) {
  ExperimentConfig config;
  config.seed = seed;
  config.comm.codec = "int8";
  config.compress.control = true;
  config.compress.constraints.max_bytes = max_bytes;
  config.compress.distill.teacher = "control";
  return config;
}

TEST(SweepControlsTest, WhatTheControlDoesNotDependOnIsLeftOut) {
  const ExperimentConfig config = with_control(3, 1000);
  const ExperimentConfig control = control_of(config);
  EXPECT_EQ(control.compress, CompressConfig{});
  EXPECT_EQ(control.comm, CommConfig{});
  EXPECT_EQ(control.seed, 3U);
  EXPECT_EQ(control.train, config.train);
}

TEST(SweepControlsTest, RunsWithTheSameControlShareIt) {
  std::vector<ExperimentConfig> configs = {with_control(1, 1000), with_control(2, 1000),
                                           with_control(1, 2000)};
  configs[2].compress.distill.teacher = "warmup";
  const ExperimentConfig alone = configs[1];
  const std::vector<SharedControl> shared = share_controls(configs, "out");
  ASSERT_EQ(shared.size(), 1U);
  EXPECT_EQ(shared[0].name,
            "control-" + config_sha256(control_of(with_control(1, 1000))).substr(0, 8));
  EXPECT_EQ(configs[1], alone);
  for (const ExperimentConfig& config : {configs[0], configs[2]}) {
    EXPECT_FALSE(config.compress.control);
    EXPECT_EQ(config.compress.dense_reference, "out/" + shared[0].name);
  }
  EXPECT_EQ(configs[0].compress.distill.teacher,
            "out/" + shared[0].name + "/model/model.safetensors");
  EXPECT_EQ(configs[2].compress.distill.teacher, "warmup");
}

TEST(SweepControlsTest, OtherTrainingIsAnotherControl) {
  std::vector<ExperimentConfig> configs = {with_control(1, 1000), with_control(1, 1000)};
  configs[1].train.optimizer.lr *= 2.0;
  EXPECT_TRUE(share_controls(configs, "out").empty());
  configs[1] = configs[0];
  configs[1].compress.control = false;
  EXPECT_TRUE(share_controls(configs, "out").empty());
  EXPECT_TRUE(configs[0].compress.control);
}

}  // namespace
}  // namespace coppice
