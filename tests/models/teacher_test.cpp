// Loss terms that have a teacher, through the executor's interface.

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/error.h"
#include "core/parameter_arena.h"
#include "models/executor.h"
#include "tests/models/executors.h"
#include "tests/models/grids.h"
#include "tests/models/input_specs.h"
#include "tests/models/sample_arrays.h"

namespace coppice {
namespace {

class TeacherTest : public EveryExecutor {};
COPPICE_EVERY_EXECUTOR(TeacherTest);

LossTerm distillation(double weight, double temperature) {
  return {.kind = LossKind::kDistillation, .weight = weight, .temperature = temperature};
}

LossTerm feature_matching(double weight, const char* node) {
  return {.kind = LossKind::kFeatureMatching, .weight = weight, .buffer = node};
}

LocalPlan one_step(std::vector<LossTerm> terms) {
  LocalPlan plan;
  plan.optimizer.lr = 1.0;
  plan.epochs = 0;
  plan.steps = 1;
  plan.loss_terms = std::move(terms);
  return plan;
}

// Row `index` of `table`, for every index.
template <typename Row>
auto rows_of(const std::vector<Row>& table) {
  return [&table](std::span<const std::int64_t> indices, std::span<float> out) {
    auto at = out.begin();
    for (const std::int64_t i : indices)
      at = std::ranges::copy(table[static_cast<std::size_t>(i)], at).out;
  };
}

TEST_P(TeacherTest, StepIsTheWeightedSumOfBothGradients) {
  const auto executor = TeacherTest::make(
      Graph::build(numbers({1}), {{"linear", "w", {}, {.out = 2, .bias = false}}}));
  const SampleArrays data({1.0F}, {0}, 1);
  const SampleSource source = data.source();
  const double temperature = 2.0;
  // softmax(teacher / 2) = (1/4, 3/4); the student's is (1/2, 1/2).
  const std::vector<std::array<float, 2>> logits = {
      {0.0F, static_cast<float>(temperature * std::log(3.0))}};
  const Teacher teacher{.logits = rows_of(logits), .features = {}};
  const LocalPlan plan = one_step({{.weight = 0.75}, distillation(0.25, temperature)});
  const std::vector<float> global = {0.0F, 0.0F};
  const TrainResult result =
      executor->train({.plan = &plan, .source = &source, .global = global, .teacher = &teacher});
  const double step = 0.75 * 0.5 - 0.25 * temperature * (0.5 - 0.25);
  EXPECT_NEAR(static_cast<double>(executor->parameters()[0]), step, 1e-6);
  EXPECT_NEAR(static_cast<double>(executor->parameters()[1]), -step, 1e-6);
  EXPECT_NEAR(result.mean_loss, std::log(2.0), 1e-6);  // cross-entropy alone, without weights
}

// Two inputs, three hidden features, two classes, no biases.
Graph hidden_graph() {
  return Graph::build(numbers({2}), {{"linear", "hidden", {}, {.out = 3, .bias = false}},
                                     {"linear", "out", {}, {.out = 2, .bias = false}}});
}

constexpr std::size_t kSamples = 4;

// The loss of Tung & Mori 2019 of rows in double, term by term.
double similarity_loss(const std::vector<std::vector<double>>& a,
                       const std::vector<std::vector<double>>& b) {
  const auto unit_row = [](const std::vector<std::vector<double>>& rows, std::size_t i) {
    std::vector<double> row;
    double square = 0.0;
    for (const auto& other : rows) {
      double dot = 0.0;
      for (std::size_t k = 0; k < other.size(); ++k) dot += rows[i][k] * other[k];
      row.push_back(dot);
      square += dot * dot;
    }
    for (double& value : row) value /= std::sqrt(square);
    return row;
  };
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto of_a = unit_row(a, i);
    const auto of_b = unit_row(b, i);
    for (std::size_t j = 0; j < a.size(); ++j) sum += (of_a[j] - of_b[j]) * (of_a[j] - of_b[j]);
  }
  return sum / static_cast<double>(a.size() * a.size());
}

struct FeatureRun {
  std::unique_ptr<Executor> executor = make_executor("libtorch", hidden_graph());
  SampleArrays data = SampleArrays::random(kSamples, 2, 2, 7);
  SampleSource source = data.source();
  ParameterArena global = initial_parameters(hidden_graph(), 2);
  std::vector<std::array<float, 5>> features = {{0.1F, 0.9F, 0.3F, -0.2F, 0.5F},
                                                {0.7F, -0.4F, 0.2F, 0.8F, 0.1F},
                                                {0.3F, 0.3F, -0.6F, 0.1F, 0.9F},
                                                {-0.5F, 0.2F, 0.4F, 0.6F, 0.7F}};
  Teacher teacher{.logits = {}, .features = rows_of(features), .feature_size = 5};

  // Of the six weights of the hidden layer, [3, 2].
  double loss(const std::vector<double>& weights) const {
    std::vector<std::vector<double>> student;
    std::vector<std::vector<double>> taught;
    for (std::size_t i = 0; i < kSamples; ++i) {
      const std::span<const float> x = std::span(data.samples()).subspan(2 * i, 2);
      std::vector<double> row;
      for (std::size_t k = 0; k < 3; ++k) {
        row.push_back(weights[2 * k] * static_cast<double>(x[0]) +
                      weights[2 * k + 1] * static_cast<double>(x[1]));
      }
      student.push_back(std::move(row));
      taught.emplace_back(features[i].begin(), features[i].end());
    }
    return similarity_loss(student, taught);
  }
};

TEST(FeatureTeacherTest, FeatureMatchingStepIsTheDifferenceQuotient) {
  FeatureRun run;
  const LocalPlan plan = one_step({{.weight = 0.0}, feature_matching(2.0, "hidden")});
  run.executor->train({.plan = &plan,
                       .source = &run.source,
                       .global = run.global.values(),
                       .teacher = &run.teacher});
  const std::span<const float> before = run.global.values();
  const std::span<const float> after = run.executor->parameters();
  const std::vector<double> point(before.begin(), before.begin() + 6);
  for (std::size_t i = 0; i < 6; ++i) {
    constexpr double kStep = 1e-6;
    std::vector<double> above = point;
    std::vector<double> below = point;
    above[i] += kStep;
    below[i] -= kStep;
    const double slope = 2.0 * (run.loss(above) - run.loss(below)) / (2.0 * kStep);
    EXPECT_NEAR(static_cast<double>(before[i] - after[i]), slope, 2e-6) << i;
    EXPECT_GT(std::abs(slope), 1e-4) << i;  // a difference that is seen
  }
  for (std::size_t i = 6; i < before.size(); ++i) EXPECT_EQ(after[i], before[i]) << i;
}

TEST(FeatureTeacherTest, IsAskedForExactlyTheSamplesOfTheBatch) {
  FeatureRun run;
  const SampleArrays data = SampleArrays::random(10, 2, 2, 7);
  SampleSource source = data.source();
  using Batches = std::vector<std::vector<std::int64_t>>;
  Batches seen;
  Batches for_logits;
  Batches for_features;
  source.labels = [&, gather = source.labels](auto indices, auto out) {
    seen.emplace_back(indices.begin(), indices.end());
    gather(indices, out);
  };
  const Teacher teacher{.logits =
                            [&](auto indices, auto out) {
                              for_logits.emplace_back(indices.begin(), indices.end());
                              EXPECT_EQ(out.size(), 2 * indices.size());
                              std::ranges::fill(out, 0.5F);
                            },
                        .features =
                            [&](auto indices, auto out) {
                              for_features.emplace_back(indices.begin(), indices.end());
                              EXPECT_EQ(out.size(), 7 * indices.size());
                              std::ranges::fill(out, 0.5F);
                            },
                        .feature_size = 7};
  LocalPlan plan;
  plan.batch_size = 4;
  plan.epochs = 2;
  plan.loss_terms = {{}, distillation(0.5, 4.0), feature_matching(1.0, "hidden")};
  run.executor->train(
      {.plan = &plan, .source = &source, .global = run.global.values(), .teacher = &teacher});
  ASSERT_EQ(seen.size(), 6U);
  EXPECT_EQ(for_logits, seen);
  EXPECT_EQ(for_features, seen);
}

TEST(FeatureTeacherTest, QuantizedStudentOfATeacherGivesTheSameBitsTwice) {
  FeatureRun run;
  const QuantPlan quant{.weights = weight_grids(hidden_graph(), run.global.values(), 4),
                        .activations = {{.node = "hidden", .scale = 0.01F, .zero_point = 99}}};
  const std::vector<std::array<float, 2>> logits = {{1.0F, 0.0F}, {0, 1}, {3, 2}, {-1, 1}};
  run.teacher.logits = rows_of(logits);
  LocalPlan plan;
  plan.batch_size = 2;
  plan.epochs = 3;
  plan.loss_terms = {{}, distillation(0.5, 4.0), feature_matching(1.0, "hidden")};
  const auto train = [&](Executor& executor) {
    executor.train({.plan = &plan,
                    .source = &run.source,
                    .global = run.global.values(),
                    .quant = &quant,
                    .teacher = &run.teacher});
    return std::vector<float>(executor.parameters().begin(), executor.parameters().end());
  };
  const std::vector<float> first = train(*run.executor);
  EXPECT_EQ(train(*run.executor), first);
  EXPECT_EQ(train(*make_executor("libtorch", hidden_graph())), first);
}

TEST(FeatureTeacherTest, ATermWithoutItsTeacherIsAConfigError) {
  FeatureRun run;
  const auto train = [&](const LocalPlan& plan, const Teacher* teacher) {
    run.executor->train(
        {.plan = &plan, .source = &run.source, .global = run.global.values(), .teacher = teacher});
  };
  const LocalPlan distilled = one_step({distillation(1.0, 1.0)});
  EXPECT_THROW(train(distilled, nullptr), ConfigError);
  EXPECT_THROW(train(distilled, &run.teacher), ConfigError);  // features, no logits
  const LocalPlan matched = one_step({feature_matching(1.0, "hidden")});
  EXPECT_THROW(train(matched, nullptr), ConfigError);
  run.teacher.feature_size = 0;
  EXPECT_THROW(train(matched, &run.teacher), ConfigError);
}

TEST(FeatureTeacherTest, TermsThatMakeNoSenseAreRefusedByName) {
  FeatureRun run;
  const auto refusal = [&](std::vector<LossTerm> terms) {
    return run.executor->refusal(one_step(std::move(terms)));
  };
  EXPECT_EQ(refusal({{}, distillation(1.0, 4.0), feature_matching(1.0, "hidden")}), "");
  EXPECT_NE(refusal({distillation(1.0, 0.0)}).find("temperature"), std::string::npos);
  EXPECT_NE(refusal({feature_matching(1.0, "hiden")}).find("'hiden'"), std::string::npos);
  EXPECT_NE(refusal({feature_matching(1.0, "hidden"), feature_matching(1.0, "out")}), "");
}

}  // namespace
}  // namespace coppice
