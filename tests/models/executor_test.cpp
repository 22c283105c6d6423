#include "models/executor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/parameter_arena.h"
#include "tests/models/executors.h"
#include "tests/models/input_specs.h"
#include "tests/models/sample_arrays.h"

namespace coppice {
namespace {

class ExecutorTest : public EveryExecutor {};
COPPICE_EVERY_EXECUTOR(ExecutorTest);

const std::string kCorrection = "variates";  // a buffer's name

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// One weight a class and nothing else: logits w * x.
std::unique_ptr<Executor> two_weights() {
  return ExecutorTest::make(
      Graph::build(numbers({1}), {{"linear", "w", {}, {.out = 2, .bias = false}}}));
}

// One sample x = 1 of class 0: the gradient at w is (p_0 - 1, p_1) with p the softmax.
SampleArrays one_sample() { return {{1.0F}, {0}, 1}; }

LocalPlan steps_of(std::int64_t steps, double lr) {
  LocalPlan plan;
  plan.optimizer.lr = lr;
  plan.epochs = 0;
  plan.steps = steps;
  return plan;
}

LossTerm term(LossKind kind, double weight) {
  LossTerm out;
  out.kind = kind;
  out.weight = weight;
  return out;
}

struct TwoWeights {
  std::unique_ptr<Executor> executor = two_weights();
  SampleArrays data = one_sample();
  SampleSource source = data.source();
  std::vector<float> global = {0.0F, 0.0F};

  TrainResult train(const LocalPlan& plan, std::span<const float> correction = {},
                    const Mask* mask = nullptr) {
    return executor->train({.plan = &plan,
                            .source = &source,
                            .global = global,
                            .linear_correction = correction,
                            .mask = mask});
  }
  void expect_weights(double first, double second) {
    EXPECT_NEAR(static_cast<double>(executor->parameters()[0]), first, 1e-6);
    EXPECT_NEAR(static_cast<double>(executor->parameters()[1]), second, 1e-6);
  }
};

TEST_P(ExecutorTest, StepIsTheSoftmaxGradient) {
  TwoWeights model;
  const TrainResult result = model.train(steps_of(1, 1.0));
  model.expect_weights(0.5, -0.5);
  EXPECT_NEAR(result.mean_loss, std::log(2.0), 1e-6);
  EXPECT_EQ(result.correct, 1);  // of equal logits the first counts
  EXPECT_EQ(result.steps, 1);
  EXPECT_EQ(result.labels_seen, 1);
}

TEST_P(ExecutorTest, LossTermsWeighTheGradient) {
  TwoWeights model;
  LocalPlan plan = steps_of(1, 1.0);
  plan.loss_terms = {term(LossKind::kCrossEntropy, 0.5), term(LossKind::kCrossEntropy, 2.5)};
  EXPECT_NEAR(model.train(plan).mean_loss, std::log(2.0), 1e-6);  // without the weights
  model.expect_weights(1.5, -1.5);
}

TEST_P(ExecutorTest, ProximalTermPullsToTheGlobalModel) {
  TwoWeights model;
  LocalPlan plan = steps_of(2, 1.0);
  plan.prox_mu = 0.25;
  model.train(plan);
  const double p = sigmoid(-1.0);  // of the wrong class after the first step, w = (0.5, -0.5)
  model.expect_weights(0.5 + p - 0.25 * 0.5, -0.5 - p + 0.25 * 0.5);
}

TEST_P(ExecutorTest, LinearCorrectionIsAddedToEveryGradient) {
  TwoWeights model;
  LocalPlan plan = steps_of(1, 1.0);
  plan.linear_correction = kCorrection;
  model.train(plan, std::vector{0.25F, 0.125F});
  model.expect_weights(0.25, -0.625);
}

TEST_P(ExecutorTest, ClippingBoundsTheWholeGradientCorrectionIncluded) {
  TwoWeights model;
  LocalPlan plan = steps_of(1, 1.0);
  plan.linear_correction = kCorrection;
  plan.clip_norm = 0.5;
  model.train(plan, std::vector{3.5F, 3.5F});  // (-0.5, 0.5) + (3.5, 3.5) = (3, 4), norm 5
  model.expect_weights(-0.3, -0.4);
  plan.clip_norm = 5.5;
  model.train(plan, std::vector{3.5F, 3.5F});
  model.expect_weights(-3.0, -4.0);
}

TEST_P(ExecutorTest, MaskedWeightsAreZeroAfterTraining) {
  TwoWeights model;
  model.global = {0.75F, 0.75F};
  Mask mask(2);
  mask.set(0, false);
  LocalPlan plan = steps_of(3, 1.0);
  plan.mask_rule = MaskRule::kKeepZero;
  plan.optimizer.momentum = 0.9;
  model.train(plan, {}, &mask);
  EXPECT_EQ(model.executor->parameters()[0], 0.0F);
  EXPECT_LT(model.executor->parameters()[1], 0.75F);
}

TEST_P(ExecutorTest, AdamWStepsByItsLearningRate) {
  TwoWeights model;
  LocalPlan plan = steps_of(1, 0.125);
  plan.optimizer.kind = OptimizerKind::kAdamW;
  model.train(plan);
  model.expect_weights(0.125, -0.125);
}

TEST_P(ExecutorTest, OptimizerStateIsFreshForEveryClient) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    TwoWeights model;
    LocalPlan plan = steps_of(2, 0.5);
    plan.optimizer.kind = kind;
    plan.optimizer.momentum = 0.9;
    model.train(plan);
    const std::vector<float> first(model.executor->parameters().begin(),
                                   model.executor->parameters().end());
    model.train(plan);
    EXPECT_EQ(model.executor->parameters()[0], first[0]);
    EXPECT_EQ(model.executor->parameters()[1], first[1]);
  }
}

TEST_P(ExecutorTest, EpochsVisitEverySampleAndTheLastBatchMayBeSmaller) {
  auto executor = two_weights();
  const SampleArrays data = SampleArrays::random(10, 1, 2, 1);
  std::vector<std::int64_t> visits(10);
  std::vector<std::size_t> batches;
  SampleSource source = data.source();
  source.samples = [&, gather = source.samples](auto indices, auto out) {
    for (const std::int64_t i : indices) ++visits[static_cast<std::size_t>(i)];
    batches.push_back(indices.size());
    gather(indices, out);
  };
  LocalPlan plan;
  plan.epochs = 3;
  plan.batch_size = 4;
  const std::vector<float> global(2);
  const TrainResult result = executor->train({.plan = &plan, .source = &source, .global = global});
  EXPECT_EQ(visits, std::vector<std::int64_t>(10, 3));
  EXPECT_EQ(batches, (std::vector<std::size_t>{4, 4, 2, 4, 4, 2, 4, 4, 2}));
  EXPECT_EQ(result.samples_seen, 30);
  EXPECT_EQ(result.steps, 9);
}

TEST_P(ExecutorTest, StepsWrapAroundEpochsWithANewOrder) {
  auto executor = two_weights();
  const SampleArrays data = SampleArrays::random(64, 1, 2, 1);
  std::vector<std::int64_t> order;
  SampleSource source = data.source();
  source.labels = [&, gather = source.labels](auto indices, auto out) {
    order.insert(order.end(), indices.begin(), indices.end());
    gather(indices, out);
  };
  LocalPlan plan = steps_of(4, 0.1);
  plan.batch_size = 32;
  const std::vector<float> global(2);
  executor->train({.plan = &plan, .source = &source, .global = global});
  const std::vector<std::int64_t> first(order.begin(), order.begin() + 64),
      second(order.begin() + 64, order.end());
  EXPECT_NE(first, second);
  EXPECT_TRUE(std::is_permutation(first.begin(), first.end(), second.begin(), second.end()));
}

// A small network with everything random or stateful in it that `executor` can run.
Graph stateful_graph(std::string_view executor = "libtorch") {
  const std::string norm = executor == "resident" ? "group_norm" : "batch_norm";
  return Graph::build(numbers({1, 8, 8}), {{"conv2d", "conv", {}, {.out = 8, .kernel = {3, 3}}},
                                           {norm, "norm", {}, {}},
                                           {"relu", "relu", {}, {}},
                                           {"max_pool2d", "pool", {}, {.kernel = {2, 2}}},
                                           {"flatten", "flatten", {}, {}},
                                           {"dropout", "dropout", {}, {.rate = 0.3}},
                                           {"linear", "classifier", {}, {.out = 4}}});
}

struct StatefulRun {
  SampleArrays data = SampleArrays::random(40, 64, 4, 2);
  SampleSource source = data.source();
  ParameterArena global;
  LocalPlan plan;

  explicit StatefulRun(std::string_view executor = "libtorch")
      : global(initial_parameters(stateful_graph(executor), 1)) {
    plan.batch_size = 16;
    plan.epochs = 2;
    plan.optimizer.momentum = 0.9;
  }

  std::vector<float> train(Executor& executor, std::int64_t client, std::int64_t round = 1,
                           std::uint64_t seed = 1) {
    executor.train({.plan = &plan,
                    .source = &source,
                    .global = global.values(),
                    .seed = seed,
                    .client = client,
                    .round = round});
    return {executor.parameters().begin(), executor.parameters().end()};
  }
};

TEST_P(ExecutorTest, TakenParametersAreTheTrainedOnesAndTrainingGoesOnWithoutThem) {
  StatefulRun run(GetParam());
  auto executor = make_executor(GetParam(), stateful_graph(GetParam()));
  const std::vector<float> first = run.train(*executor, 1);
  AlignedBuffer taken(first.size());
  executor->take_parameters(taken);
  EXPECT_TRUE(std::ranges::equal(taken.span(), first));
  const std::vector<float> second = run.train(*executor, 2);
  EXPECT_NE(second, first);
  EXPECT_TRUE(std::ranges::equal(taken.span(), first));
  EXPECT_EQ(run.train(*executor, 1), first);
  AlignedBuffer small(first.size() - 1);
  EXPECT_THROW(executor->take_parameters(small), ConfigError);
}

TEST_P(ExecutorTest, TrainingDoesNotDependOnWhoTrainedBefore) {
  StatefulRun run(GetParam());
  auto executor = make_executor(GetParam(), stateful_graph(GetParam()));
  const std::vector<float> alone = run.train(*executor, 7);
  auto busy = make_executor(GetParam(), stateful_graph(GetParam()));
  for (std::int64_t client = 0; client < 3; ++client) run.train(*busy, client);
  busy->evaluate({run.global.values()}, run.source, std::vector<std::int64_t>{1, 2, 3});
  EXPECT_EQ(run.train(*busy, 7), alone);
}

TEST_P(ExecutorTest, SeedClientAndRoundEachChangeTheResult) {
  StatefulRun run;
  auto executor = make_executor("libtorch", stateful_graph());
  const std::vector<float> base = run.train(*executor, 7, 1, 1);
  EXPECT_NE(run.train(*executor, 8, 1, 1), base);
  EXPECT_NE(run.train(*executor, 7, 2, 1), base);
  EXPECT_NE(run.train(*executor, 7, 1, 2), base);
}

TEST_P(ExecutorTest, TrainingLeavesFrozenStatisticsAlone) {
  StatefulRun run;
  run.plan.optimizer.weight_decay = 0.1;
  run.plan.prox_mu = 0.1;
  const Graph graph = stateful_graph();
  auto executor = make_executor("libtorch", graph);
  const ParameterArena trained(run.train(*executor, 1));
  for (const ParameterSpec& parameter : graph.parameters()) {
    const auto before = run.global.view(parameter);
    EXPECT_EQ(std::ranges::equal(trained.view(parameter), before), !parameter.is_trainable)
        << parameter.name;
  }
}

TEST_P(ExecutorTest, EvaluateEqualsInferWithASoftmaxOfOurOwn) {
  StatefulRun run;
  auto executor = make_executor("libtorch", stateful_graph());
  std::vector<std::int64_t> indices(40);
  for (std::size_t i = 0; i < 40; ++i) indices[i] = static_cast<std::int64_t>(i);
  const EvalResult result = executor->evaluate({run.global.values()}, run.source, indices);
  const std::vector<float> logits = executor->infer({run.global.values()}, run.data.samples());
  ASSERT_EQ(logits.size(), 160U);
  double loss = 0.0;
  std::int64_t correct = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    const auto row = std::span(logits).subspan(4 * i, 4);
    const auto label = static_cast<std::size_t>(run.data.labels()[i]);
    double sum = 0.0;
    for (const float logit : row) sum += std::exp(static_cast<double>(logit));
    loss += std::log(sum) - static_cast<double>(row[label]);
    correct +=
        static_cast<std::size_t>(std::ranges::max_element(row) - row.begin()) == label ? 1 : 0;
  }
  EXPECT_NEAR(result.loss_sum, loss, 1e-4);
  EXPECT_EQ(result.correct, correct);
  EXPECT_EQ(result.labels, 40);
}

TEST_P(ExecutorTest, ParametersAtAnyAddressGiveTheSameBits) {
  StatefulRun run;
  auto executor = make_executor("libtorch", stateful_graph());
  std::vector<float> shifted(run.global.values().size() + 1);
  std::ranges::copy(run.global.values(), shifted.begin() + 1);
  EXPECT_EQ(executor->infer({std::span(shifted).subspan(1)}, run.data.samples()),
            executor->infer({run.global.values()}, run.data.samples()));
}

TEST_P(ExecutorTest, InferenceOfManySamplesComesInTheirOrder) {
  auto executor = two_weights();
  std::vector<float> samples(600);
  for (std::size_t i = 0; i < 600; ++i) samples[i] = static_cast<float>(i);
  const std::vector<float> logits = executor->infer({std::vector{1.0F, -2.0F}}, samples);
  ASSERT_EQ(logits.size(), 1200U);
  for (std::size_t i = 0; i < 600; ++i) {
    EXPECT_EQ(logits[2 * i], samples[i]);
    EXPECT_EQ(logits[2 * i + 1], -2.0F * samples[i]);
  }
  EXPECT_TRUE(executor->infer({std::vector{1.0F, -2.0F}}, {}).empty());
}

TEST_P(ExecutorTest, EveryPositionOfASequenceIsALabel) {
  auto executor = ExecutorTest::make(
      Graph::build(ids(3, 3), {{"embedding", "table", {}, {.out = 2, .vocabulary = 2}}}));
  // Row 0 predicts class 1 with certainty, row 1 is undecided.
  const std::vector<float> parameters = {-50.0F, 50.0F, 0.0F, 0.0F};
  const SampleArrays data({0.0F, 1.0F, 0.0F}, {1, 0, 1}, 3, 3);
  const EvalResult result =
      executor->evaluate({parameters}, data.source(), std::vector<std::int64_t>{0});
  EXPECT_EQ(result.labels, 3);
  EXPECT_EQ(result.correct, 3);
  EXPECT_NEAR(result.loss_sum, std::log(2.0), 1e-6);
}

TEST_P(ExecutorTest, DivergenceIsReportedNotThrown) {
  TwoWeights model;
  model.global = {std::numeric_limits<float>::quiet_NaN(), 0.0F};
  EXPECT_TRUE(std::isnan(model.train(steps_of(2, 1.0)).mean_loss));
  EXPECT_TRUE(std::isnan(model.executor->parameters()[0]));
}

TEST_P(ExecutorTest, TermsItCannotRunAreRefusedByName) {
  const auto executor = two_weights();
  EXPECT_EQ(executor->refusal({}), "");
  LocalPlan plan;
  plan.loss_terms = {LossTerm(), term(LossKind::kContrastive, 1.0)};
  EXPECT_NE(executor->refusal(plan).find("contrastive"), std::string::npos);
  plan.loss_terms = {};
  EXPECT_NE(executor->refusal(plan).find("loss_terms"), std::string::npos);
  plan = {};
  plan.keep_state = {"variate"};
  EXPECT_NE(executor->refusal(plan).find("variate"), std::string::npos);
  TwoWeights model;
  EXPECT_THROW(model.train(plan), ConfigError);
}

TEST_P(ExecutorTest, WrongSizesAndLabelsAreConfigErrors) {
  TwoWeights model;
  const LocalPlan plan = steps_of(1, 1.0);
  EXPECT_THROW(model.train(plan, std::vector{1.0F, 1.0F}),
               ConfigError);  // a correction nobody asked for
  LocalPlan corrected = plan;
  corrected.linear_correction = kCorrection;
  EXPECT_THROW(model.train(corrected), ConfigError);
  LocalPlan masked = plan;
  masked.mask_rule = MaskRule::kKeepZero;
  const Mask short_mask(1);
  EXPECT_THROW(model.train(masked), ConfigError);
  EXPECT_THROW(model.train(masked, {}, &short_mask), ConfigError);
  EXPECT_THROW(model.train(steps_of(0, 1.0)), ConfigError);
  model.global.push_back(0.0F);
  EXPECT_THROW(model.train(plan), ConfigError);
  EXPECT_THROW(model.executor->infer({model.global}, std::vector{1.0F}), ConfigError);

  TwoWeights bad_label;
  bad_label.data = SampleArrays({1.0F}, {2}, 1);
  EXPECT_THROW(bad_label.train(plan), ConfigError);
  TwoWeights nobody;
  nobody.source.size = 0;
  EXPECT_THROW(nobody.train(plan), ConfigError);
  EXPECT_THROW(
      nobody.executor->evaluate({nobody.global}, nobody.source, std::vector<std::int64_t>{0}),
      ConfigError);
}

TEST_P(ExecutorTest, GraphWithoutLogitsIsRefused) {
  EXPECT_THROW(ExecutorTest::make(Graph()), ConfigError);
  EXPECT_THROW(ExecutorTest::make(Graph::build(numbers({1, 2, 2}), {{"relu", "relu", {}, {}}})),
               ConfigError);
  EXPECT_THROW(ExecutorTest::make(Graph::build(numbers({3, 4}), {{"relu", "relu", {}, {}}})),
               ConfigError);
}

TEST_P(ExecutorTest, UnknownExecutorNamesTheKnownOnes) {
  try {
    make_executor("libtroch", stateful_graph());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("'libtorch'"), std::string::npos) << error.what();
  }
}

TEST_P(ExecutorTest, VersionAndInstructionSetAreNamed) {
  EXPECT_EQ(executor_library_version().substr(0, 9), "libtorch ");
  EXPECT_FALSE(executor_isa("libtorch").empty());
  EXPECT_FALSE(executor_isa("resident").empty());
}

}  // namespace
}  // namespace coppice
