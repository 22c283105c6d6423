#pragma once
// A few clients with tiny data, trained on this thread, for tests of what they report.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "client/local_clients.h"
#include "core/parameter_arena.h"
#include "tests/client/tiny_data.h"
#include "tests/models/input_specs.h"

namespace coppice {

inline Graph network() {
  return Graph::build(numbers({kTinyFeatures}), {{"linear", "hidden", {}, {.out = 8}},
                                                 {"relu", "relu", {}, {}},
                                                 {"linear", "out", {}, {.out = kTinyClasses}}});
}

inline ClientTask task_for(std::vector<std::int64_t> cohort) {
  ClientTask task;
  task.track = "main";
  task.plan.optimizer.lr = 0.1;
  task.plan.batch_size = 4;
  task.max_weight = 100;
  task.update_grid = grid_for(6, task.max_weight);
  task.cohort = std::move(cohort);
  return task;
}

inline LocalClients::NextClient in_turn(std::vector<std::int64_t> clients) {
  return [clients = std::move(clients), at = std::size_t{0}]() mutable {
    return at < clients.size() ? std::optional(clients[at++]) : std::nullopt;
  };
}

class LocalClientsTest : public testing::Test {
 protected:
  LocalClientsTest() { clients_.set_graph(graph_); }

  RankReport train(const ClientTask& task, const std::vector<std::int64_t>& which) {
    return clients_.run(task, {global_.values()}, in_turn(which), 1000);
  }
  // Training sample 0 of `client` becomes NaN.
  void poison(std::int64_t client) {
    dataset_.train.float32s[static_cast<std::size_t>(10 * client * kTinyFeatures)] =
        std::numeric_limits<float>::quiet_NaN();
  }
  static const ExactSum& update_of(const RankReport& report) {
    return report.sums.begin()->second.at(kUpdateSum);
  }
  static void expect_same_sums(const RankReport& a, const RankReport& b) {
    EXPECT_TRUE(std::ranges::equal(update_of(a).units(), update_of(b).units()));
    EXPECT_EQ(update_of(a).weight(), update_of(b).weight());
  }

  Graph graph_ = network();
  ParameterArena global_ = initial_parameters(graph_, 1);
  Dataset dataset_ = tiny_dataset();
  Partition partition_ = tiny_partition();
  LocalClients clients_{dataset_, partition_, "libtorch", 7};
};

}  // namespace coppice
