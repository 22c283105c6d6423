// What a client tells of two models' answers for its held-out samples.
#include "client/outcomes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "client/local_clients.h"
#include "core/error.h"
#include "core/parameter_arena.h"
#include "tests/client/tiny_data.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

Graph classifier() {
  return Graph::build(numbers({kTinyFeatures}), {{"linear", "out", {}, {.out = kTinyClasses}}});
}

// Tells feature f as class f of the first three, with the roles of `a` and `b` exchanged.
std::vector<float> reads_features(std::int64_t a, std::int64_t b) {
  std::vector<float> parameters(static_cast<std::size_t>(classifier().parameter_count()));
  for (std::int64_t c = 0; c < kTinyClasses; ++c) {
    const std::int64_t feature = c == a ? b : c == b ? a : c;
    parameters[static_cast<std::size_t>(c * kTinyFeatures + feature)] = 1.0F;
  }
  return parameters;
}

class OutcomesTest : public testing::Test {
 protected:
  OutcomesTest() { clients_.set_graph(classifier()); }

  static ClientTask gate_of(std::vector<std::int64_t> cohort) {
    ClientTask task;
    task.max_weight = std::ssize(cohort);
    task.gate = GateRequest{.batch_size = 3};
    task.cohort = std::move(cohort);
    return task;
  }
  RankReport run(const ClientTask& task, const std::vector<float>& model,
                 std::vector<std::int64_t> turns) {
    std::size_t at = 0;
    return clients_.run(
        task, {model},
        [&]() -> std::optional<std::int64_t> {
          return at < turns.size() ? std::optional(turns[at++]) : std::nullopt;
        },
        1000);
  }
  static OutcomeCounts counts_of(const RankReport& report) {
    const auto units = report.sums.begin()->second.at(kOutcomeSum).units();
    return {units[0], units[1], units[2], units[3]};
  }
  // Counted sample by sample, from the features alone.
  OutcomeCounts expected(std::int64_t client, std::int64_t a, std::int64_t b) const {
    OutcomeCounts counts;
    for (const std::int64_t sample :
         partition_.clients[static_cast<std::size_t>(client)].validation) {
      const float* x = dataset_.train.float32s.data() + sample * kTinyFeatures;
      const auto top = std::max_element(x, x + kTinyClasses) - x;
      const auto swapped = top == a ? b : top == b ? a : top;
      const auto label = dataset_.train.labels[static_cast<std::size_t>(sample)];
      const bool dense = top == label;
      const bool compressed = swapped == label;
      ++(dense        ? compressed ? counts.both : counts.only_dense
         : compressed ? counts.only_compressed
                      : counts.neither);
    }
    return counts;
  }

  Dataset dataset_ = tiny_dataset();
  Partition partition_ = tiny_partition();
  LocalClients clients_{dataset_, partition_, "libtorch", 7};
};

TEST_F(OutcomesTest, CountsAreThoseOfTheHeldOutSamples) {
  clients_.set_reference(classifier(), reads_features(0, 0));
  OutcomeCounts all;
  for (std::int64_t client = 0; client < 5; ++client) {
    const OutcomeCounts counts = counts_of(run(gate_of({client}), reads_features(0, 1), {client}));
    EXPECT_EQ(counts, expected(client, 0, 1)) << client;
    EXPECT_EQ(counts.labels(), 2);
    all.both += counts.both;
    all.only_dense += counts.only_dense;
    all.only_compressed += counts.only_compressed;
    all.neither += counts.neither;
  }
  EXPECT_GT(all.only_dense, 0);
  const ClientTask task = gate_of({0, 1, 2, 3, 4});
  const RankReport together = run(task, reads_features(0, 1), {0, 1, 2, 3, 4});
  EXPECT_EQ(counts_of(together), all);
  EXPECT_EQ(counts_of(run(task, reads_features(0, 1), {3, 1, 4, 0, 2})), all);
  RankReport parts = run(task, reads_features(0, 1), {2, 4});
  parts.merge(run(task, reads_features(0, 1), {0, 1, 3}));
  EXPECT_EQ(counts_of(parts), all);
  for (const ClientRow& row : together.rows) {
    EXPECT_EQ(row.status, ClientStatus::kAccepted);
    EXPECT_EQ(row.weight, 1);
    EXPECT_EQ(row.bytes_down, 1000);
    EXPECT_GT(row.bytes_up, 0);
  }
}

// On a grid so coarse that all weights become zero, the first class wins everywhere.
TEST_F(OutcomesTest, ModelIsAskedOnItsGrids) {
  clients_.set_reference(classifier(), reads_features(0, 0));
  QuantPlan plan;
  plan.weights = {{.parameter = "out.weight", .bits = 8, .scales = {8.0F, 8.0F, 8.0F}}};
  const std::vector<float> model = reads_features(0, 0);
  std::optional<std::int64_t> next = 0;
  const RankReport report = clients_.run(
      gate_of({0}), {model, &plan}, [&] { return std::exchange(next, std::nullopt); }, 1000);
  OutcomeCounts zeros;
  for (const std::int64_t sample : partition_.clients[0].validation) {
    const float* x = dataset_.train.float32s.data() + sample * kTinyFeatures;
    const auto label = dataset_.train.labels[static_cast<std::size_t>(sample)];
    const bool dense = std::max_element(x, x + kTinyClasses) - x == label;
    ++(dense        ? label == 0 ? zeros.both : zeros.only_dense
       : label == 0 ? zeros.only_compressed
                    : zeros.neither);
  }
  EXPECT_EQ(counts_of(report), zeros);
}

TEST_F(OutcomesTest, ExplodedModelIsWrongEverywhereAndItsClientsAreNotToBlame) {
  clients_.set_reference(classifier(), reads_features(0, 0));
  std::vector<float> exploded = reads_features(0, 0);
  exploded[0] = std::numeric_limits<float>::infinity();
  const RankReport report = run(gate_of({0, 1, 2}), exploded, {0, 1, 2});
  const OutcomeCounts counts = counts_of(report);
  EXPECT_EQ(counts.both + counts.only_compressed, 0);
  EXPECT_EQ(counts.labels(), 6);
  for (const ClientRow& row : report.rows) EXPECT_EQ(row.status, ClientStatus::kAccepted);
}

TEST_F(OutcomesTest, ClientWhoseSamplesAreNotFiniteIsRefused) {
  const auto sample = partition_.clients[1].validation[0];
  dataset_.train.float32s[static_cast<std::size_t>(sample * kTinyFeatures)] = std::nanf("");
  clients_.set_reference(classifier(), reads_features(0, 0));
  const RankReport report = run(gate_of({0, 1}), reads_features(0, 0), {0, 1});
  EXPECT_EQ(counts_of(report).labels(), 2);
  EXPECT_EQ(report.rows[0].status, ClientStatus::kAccepted);
  EXPECT_EQ(report.rows[1].status, ClientStatus::kRefused);
  EXPECT_EQ(report.rows[1].reason, RefusalReason::kNotFinite);
}

TEST_F(OutcomesTest, MisuseIsSaid) {
  EXPECT_THROW(run(gate_of({0}), reads_features(0, 0), {0}), Error);  // before its dense model
  const Graph other = Graph::build(numbers({kTinyFeatures}), {{"linear", "out", {}, {.out = 7}}});
  EXPECT_THROW(clients_.set_reference(other, std::vector<float>(49)), ConfigError);
  RightAnswers one;
  one.is_right = {true};
  EXPECT_THROW(count_outcomes(one, {}), ConfigError);
}

}  // namespace
}  // namespace coppice
