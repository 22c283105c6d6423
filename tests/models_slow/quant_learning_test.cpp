// Quantization-aware training of a trained MLP on the digits, judged on a validation split: it
// keeps the loss at 8 bits and beats rounding after as much training at 4. Each test takes the mean
// of three initial models: one of the split's images more or less right is 0.35 % of accuracy.

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/parameter_arena.h"
#include "models/executor.h"
#include "models/zoo.h"
#include "tests/models/grids.h"
#include "tests/models/input_specs.h"
#include "tests/models_slow/digits.h"

namespace coppice {
namespace {

Graph mlp() {
  ModelConfig config;
  config.name = "mlp";
  config.hidden = {16};  // so few that four bits hurt
  return make_model(config, {.input = numbers({1, 8, 8}), .classes = 10});
}

// Grids of everything that a linear node reads: the normalised input in [-1, 1], and each relu's
// output up to the largest value seen.
std::vector<ActivationQuant> activation_grids(Executor& executor, std::span<const float> parameters,
                                              const SampleArrays& data) {
  std::vector<ActivationQuant> grids;
  std::vector<std::string> nodes;
  for (const Node& node : executor.graph().nodes()) {
    if (node.op == OpKind::normalize)
      grids.push_back({.node = node.name, .scale = 2.0F / 255.0F, .zero_point = 128});
    if (node.op == OpKind::relu) nodes.push_back(node.name);
  }
  executor.observe(
      {parameters}, data.samples(), nodes, [&](std::size_t node, std::span<const float> values) {
        const float largest = *std::ranges::max_element(values);
        grids.push_back({.node = nodes[node], .scale = largest / 255.0F, .zero_point = 0});
      });
  return grids;
}

// Means over initial models.
struct Outcome {
  double fp32 = 0.0;     // loss of the model that the others start from
  double rounded = 0.0;  // after as much more training in fp32, then rounding
  double trained = 0.0;  // quantization-aware
};

class QuantLearningTest : public DigitsFixture {
 protected:
  static constexpr std::uint64_t kModels = 3;

  void SetUp() override {
    DigitsFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    split_ = std::make_unique<DigitsSplit>(digits(*dataset_, 1, 8));
    executor_ = make_executor("auto", mlp());
  }

  // Trains the model of `seed` in fp32.
  void start(std::uint64_t seed) {
    model_ = initial_parameters(executor_->graph(), seed);
    round_ = 0;
    train(adamw(2e-3, 20, 32), nullptr, nullptr);
    train(adamw(2e-4, 2, 32), nullptr, nullptr);
    ASSERT_GT(accuracy(evaluate_all(*executor_, {model_.values()}, split_->validation)), 0.95);
  }

  QuantPlan grids(int bits) {
    return {.weights = weight_grids(executor_->graph(), model_.values(), bits),
            .activations = activation_grids(*executor_, model_.values(), split_->train)};
  }

  void train(const LocalPlan& plan, const QuantPlan* quant, const Teacher* teacher) {
    const SampleSource source = split_->train.source();
    executor_->train({.plan = &plan,
                      .source = &source,
                      .global = model_.values(),
                      .quant = quant,
                      .teacher = teacher,
                      .round = ++round_});
    model_ = ParameterArena(executor_->parameters());
  }

  double validation_loss(const QuantPlan* quant) {
    return mean_loss(evaluate_all(*executor_, {model_.values(), quant}, split_->validation));
  }

  // The rival's grids are fitted to the weights that it rounds.
  double rounded_after(const LocalPlan& plan, int bits) {
    const ParameterArena before = model_;
    const std::int64_t round = round_;
    train(plan, nullptr, nullptr);
    const QuantPlan quant = grids(bits);
    const double loss = validation_loss(&quant);
    model_ = before;
    round_ = round;
    return loss;
  }

  // The rival trains by `plan` too, on the labels alone.
  Outcome outcome(const LocalPlan& plan, std::vector<LossTerm> terms, int bits) {
    Outcome mean;
    LocalPlan quantized_plan = plan;
    quantized_plan.loss_terms = std::move(terms);
    for (std::uint64_t seed = 1; seed <= kModels; ++seed) {
      start(seed);
      mean.fp32 += validation_loss(nullptr) / kModels;
      mean.rounded += rounded_after(plan, bits) / kModels;
      const QuantPlan quant = grids(bits);
      const Teacher teacher =
          teacher_of(executor_->infer({model_.values()}, split_->train.samples()));
      train(quantized_plan, &quant, &teacher);
      mean.trained += validation_loss(&quant) / kModels;
    }
    RecordProperty("fp32", std::to_string(mean.fp32));
    RecordProperty("rounded", std::to_string(mean.rounded));
    RecordProperty("trained", std::to_string(mean.trained));
    return mean;
  }

  static Teacher teacher_of(std::vector<float> logits) {
    Teacher teacher;
    teacher.logits = [logits = std::move(logits)](std::span<const std::int64_t> indices,
                                                  std::span<float> out) {
      auto at = out.begin();
      for (const std::int64_t i : indices) {
        const auto row = std::span(logits).subspan(static_cast<std::size_t>(i) * 10, 10);
        at = std::ranges::copy(row, at).out;
      }
    };
    return teacher;
  }

  std::unique_ptr<DigitsSplit> split_;
  std::unique_ptr<Executor> executor_;
  ParameterArena model_;
  std::int64_t round_ = 0;
};

TEST_F(QuantLearningTest, EightBitsKeepTheLoss) {
  const Outcome mean = outcome(adamw(2e-4, 3, 32), {{}}, 8);
  EXPECT_LT(mean.trained, 1.01 * mean.fp32);
}

TEST_F(QuantLearningTest, FourBitsBeatRoundingAfterAsMuchTraining) {
  const Outcome mean = outcome(adamw(1e-3, 6, 32), {{}}, 4);
  EXPECT_LT(mean.trained, mean.rounded);
}

// The teacher is the fp32 model that quantized training starts from.
TEST_F(QuantLearningTest, FourBitsWithDistillationBeatRoundingAfterAsMuchTraining) {
  const Outcome mean = outcome(
      adamw(1e-3, 6, 32),
      {{.weight = 0.5}, {.kind = LossKind::kDistillation, .weight = 0.5, .temperature = 2.0}}, 4);
  EXPECT_LT(mean.trained, mean.rounded);
}

}  // namespace
}  // namespace coppice
