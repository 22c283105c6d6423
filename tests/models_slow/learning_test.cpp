// Each model of the zoo learns: images below the best validation loss that logistic regression
// reaches on the same digits, text below its unigram entropy.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "core/parameter_arena.h"
#include "models/executor.h"
#include "models/zoo.h"
#include "tests/models/input_specs.h"
#include "tests/models/sample_arrays.h"
#include "tests/models_slow/digits.h"

namespace coppice {
namespace {

// Trains a fresh model of `graph`, one call a plan; the loss on `validation` after each.
std::vector<double> losses_of(const Graph& graph, std::span<const LocalPlan> plans,
                              const SampleArrays& train, const SampleArrays& validation) {
  configure_process_for_training();
  auto executor = make_executor("auto", graph);
  ParameterArena model = initial_parameters(graph, 1);
  const SampleSource source = train.source();
  std::vector<double> losses;
  for (const LocalPlan& plan : plans) {
    executor->train({.plan = &plan,
                     .source = &source,
                     .global = model.values(),
                     .round = static_cast<std::int64_t>(losses.size()) + 1});
    model = ParameterArena(executor->parameters());
    losses.push_back(mean_loss(evaluate_all(*executor, {model.values()}, validation)));
  }
  return losses;
}

// A long phase and a short one at a tenth of the learning rate.
std::vector<LocalPlan> two_phases(double lr, std::int64_t epochs) {
  return {adamw(lr, epochs, 32), adamw(lr / 10.0, 2, 32)};
}

class DigitsTest : public DigitsFixture {
 protected:
  void SetUp() override {
    DigitsFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const Graph regression =
        Graph::build(numbers({64}), {{"linear", "classifier", {}, {.out = 10}}});
    const DigitsSplit split = digits(*dataset_, 1, 8);
    const std::vector<double> losses = losses_of(
        regression, std::vector<LocalPlan>(20, adamw(1e-2, 5, 32)), split.train, split.validation);
    regression_loss_ = std::ranges::min(losses);
    RecordProperty("regression_loss", std::to_string(regression_loss_));
    ASSERT_LT(regression_loss_, 0.3);  // a baseline worth beating
  }

  double loss_of(const char* model, const std::vector<LocalPlan>& plans, std::int64_t scale,
                 std::int64_t size) {
    ModelConfig config;
    config.name = model;
    const Graph graph = make_model(config, {.input = numbers({1, size, size}), .classes = 10});
    const DigitsSplit split = digits(*dataset_, scale, size);
    const double loss = losses_of(graph, plans, split.train, split.validation).back();
    RecordProperty("loss", std::to_string(loss));
    return loss;
  }

  double regression_loss_ = std::numeric_limits<double>::quiet_NaN();
};

TEST_F(DigitsTest, MlpBeatsLogisticRegression) {
  EXPECT_LT(loss_of("mlp", two_phases(2e-3, 12), 1, 8), regression_loss_);
}

TEST_F(DigitsTest, Lenet5BeatsLogisticRegression) {
  EXPECT_LT(loss_of("lenet5", two_phases(2e-3, 7), 3, 28), regression_loss_);
}

TEST_F(DigitsTest, Resnet20BeatsLogisticRegression) {
  EXPECT_LT(loss_of("resnet20", two_phases(4e-3, 5), 1, 8), regression_loss_);
}

// Words in random order: characters follow each other by rules that their frequencies do not show.
std::vector<std::int32_t> generated_text(std::int64_t characters) {
  constexpr std::array<std::string_view, 8> kWords = {"oak ",   "willow ", "hazel ", "coppice ",
                                                      "birch ", "stool ",  "shoot ", "harvest "};
  RandomStream stream({.purpose = Purpose::kGenerated});
  std::vector<std::int32_t> text;
  while (static_cast<std::int64_t>(text.size()) < characters) {
    for (const char c : kWords[stream.next_below(kWords.size())])
      text.push_back(c == ' ' ? 26 : c - 'a');
  }
  text.resize(static_cast<std::size_t>(characters));
  return text;
}

constexpr std::int64_t kVocabulary = 27;
constexpr std::int64_t kContext = 32;

// Windows of kContext characters, labelled with the character after each.
SampleArrays windows(std::span<const std::int32_t> text) {
  std::vector<float> samples;
  std::vector<std::int32_t> labels;
  for (std::size_t first = 0; first + kContext < text.size(); first += kContext) {
    for (std::size_t i = first; i < first + kContext; ++i) {
      samples.push_back(static_cast<float>(text[i]));
      labels.push_back(text[i + 1]);
    }
  }
  return {std::move(samples), std::move(labels), kContext, kContext};
}

double unigram_entropy(std::span<const std::int32_t> text) {
  std::array<double, kVocabulary> counts{};
  for (const std::int32_t c : text) ++counts[static_cast<std::size_t>(c)];
  double entropy = 0.0;
  for (const double count : counts) {
    const double p = count / static_cast<double>(text.size());
    if (count > 0.0) entropy -= p * std::log(p);
  }
  return entropy;
}

TEST(TextTest, CharTransformerBeatsTheUnigramEntropy) {
  const std::vector<std::int32_t> text = generated_text(20'000);
  const auto test_text = std::span(text).last(4'000);
  ModelConfig config;
  config.name = "char_transformer";
  config.dropout = 0.1;
  ModelRequest request;
  request.input = ids(kContext, kContext);
  request.classes = request.vocabulary = kVocabulary;
  LocalPlan plan = adamw(3e-3, 4, 16);
  plan.clip_norm = 1.0;
  const double loss = losses_of(make_model(config, request), std::span(&plan, 1),
                                windows(std::span(text).first(16'000)), windows(test_text))
                          .back();
  RecordProperty("loss", std::to_string(loss));
  // Far below, in fact: the words are half learnt after four epochs.
  EXPECT_LT(loss, 0.6 * unigram_entropy(test_text));
}

}  // namespace
}  // namespace coppice
