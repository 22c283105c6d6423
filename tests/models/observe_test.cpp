// Executor::observe.

#include <gtest/gtest.h>

#include <utility>

#include "core/error.h"
#include "models/executor.h"
#include "tests/models/executors.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

class ObserveTest : public EveryExecutor {};
COPPICE_EVERY_EXECUTOR(ObserveTest);

// Doubles and negates its input, cuts off the negative half, and sums.
Graph observed_graph() {
  return Graph::build(numbers({1}), {{"linear", "hidden", {}, {.out = 2, .bias = false}},
                                     {"relu", "relu", {}, {}},
                                     {"dropout", "dropout", {}, {.rate = 0.5}},
                                     {"linear", "out", {}, {.out = 2, .bias = false}}});
}

TEST_P(ObserveTest, ShowsTheOutputsOfTheNamedNodes) {
  auto executor = ObserveTest::make(observed_graph());
  const std::vector<float> parameters = {2.0F, -1.0F, 1.0F, 1.0F, 1.0F, -1.0F};
  const std::vector<std::string> nodes = {"out", "relu", "input", "relu"};
  std::vector<std::pair<std::size_t, std::vector<float>>> seen;
  executor->observe({parameters}, std::vector{3.0F, -4.0F}, nodes,
                    [&](std::size_t node, std::span<const float> values) {
                      seen.emplace_back(node, std::vector(values.begin(), values.end()));
                    });
  const std::vector<float> relu = {6.0F, 0.0F, 0.0F, 4.0F};
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen[0], std::pair(std::size_t{2}, std::vector{3.0F, -4.0F}));
  EXPECT_EQ(seen[1], std::pair(std::size_t{1}, relu));
  EXPECT_EQ(seen[2], std::pair(std::size_t{3}, relu));
  EXPECT_EQ(seen[3], std::pair(std::size_t{0}, std::vector{6.0F, 6.0F, 4.0F, -4.0F}));
}

TEST_P(ObserveTest, RefusesUnknownNodesAndHalfASample) {
  auto executor = ObserveTest::make(observed_graph());
  const std::vector<float> parameters(6);
  const auto observe = [&](const std::string& node, std::span<const float> samples) {
    std::int64_t visits = 0;
    executor->observe({parameters}, samples, std::vector{node},
                      [&](std::size_t, std::span<const float>) { ++visits; });
    return visits;
  };
  EXPECT_THROW(observe("rlu", std::vector{1.0F}), ConfigError);
  EXPECT_EQ(observe("relu", {}), 0);
  auto pairs = ObserveTest::make(Graph::build(numbers({2}), {{"relu", "relu", {}, {}}}));
  EXPECT_THROW(pairs->observe({}, std::vector{1.0F}, std::vector<std::string>{"relu"}, {}),
               ConfigError);
}

}  // namespace
}  // namespace coppice
