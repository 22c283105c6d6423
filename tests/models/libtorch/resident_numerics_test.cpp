// The resident executor against LibTorch in double: 20 steps of the same local training, for every
// operation, instruction set of this CPU, odd sizes and partial batches.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/parameter_arena.h"
#include "models/batch.h"
#include "models/frozen.h"
#include "models/libtorch/forward.h"
#include "models/resident/executor.h"
#include "tests/models/sample_arrays.h"
#include "tests/resident/cases.h"

namespace coppice {

namespace {

constexpr std::int64_t kSamples = 27;  // three batches of 11, 11 and 5
constexpr std::int64_t kSteps = 20;

LocalPlan local_plan() {
  LocalPlan plan;
  plan.optimizer.lr = 0.05;
  plan.optimizer.momentum = 0.9;
  plan.optimizer.weight_decay = 1e-3;
  plan.prox_mu = 0.1;
  plan.epochs = 0;
  plan.steps = kSteps;
  plan.batch_size = 11;
  return plan;
}

// The same training with autograd in double and the optimizer written out.
std::vector<double> train_in_double(const Graph& graph, const TrainRequest& request) {
  const libtorch::Forward forward(graph);
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> start;
  std::vector<at::Tensor> velocity;
  for (const ParameterSpec& spec : graph.parameters()) {
    const auto values = request.global.subspan(static_cast<std::size_t>(spec.offset),
                                               static_cast<std::size_t>(spec.size()));
    parameters.push_back(at::tensor(std::vector<double>(values.begin(), values.end()), at::kDouble)
                             .reshape(spec.shape)
                             .requires_grad_(true));
    start.push_back(parameters.back().detach().clone());
    velocity.push_back(parameters.back().detach().mul(0.0));
  }
  BatchOrder order(request);
  Batch batch(graph);
  const FrozenPart frozen = frozen_part(graph, request.plan->memory.freeze_first);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    batch.read(*request.source, order.batch(step));
    const DropoutKey dropout{
        .seed = request.seed, .client = request.client, .round = request.round, .step = step};
    Shape shape = graph.input().shape;
    shape.insert(shape.begin(), batch.size());
    const auto values = batch.samples();
    const at::Tensor samples =
        at::tensor(std::vector<double>(values.begin(), values.end()), at::kDouble).reshape(shape);
    const at::Tensor log_p =
        at::log_softmax(forward.run(parameters, samples, {.dropout = &dropout}), -1);
    at::Tensor loss = log_p.sum().mul(0.0);
    for (std::int64_t i = 0; i < batch.size(); ++i)
      loss = loss.sub(log_p[i][batch.labels()[static_cast<std::size_t>(i)]]);
    loss.div(static_cast<double>(batch.size())).backward();
    const at::NoGradGuard no_grad;
    const OptimizerSpec& sgd = request.plan->optimizer;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor& w = parameters[i];
      if (graph.parameters()[i].offset < frozen.parameters) {
        w.mutable_grad().zero_();
        continue;
      }
      const at::Tensor gradient =
          w.grad().add(w.sub(start[i]), request.plan->prox_mu).add(w, sgd.weight_decay);
      velocity[i] = velocity[i].mul(sgd.momentum).add(gradient);
      w.sub_(velocity[i], sgd.lr);
      w.mutable_grad().zero_();
    }
  }
  std::vector<double> out(static_cast<std::size_t>(graph.parameter_count()));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor flat = parameters[i].detach().contiguous();
    std::copy_n(flat.const_data_ptr<double>(), flat.numel(),
                out.begin() + graph.parameters()[i].offset);
  }
  return out;
}

class ResidentNumericsTest : public ::testing::TestWithParam<ResidentCase> {};

// Relative to how far training has moved the weights, which is less than their size.
TEST_P(ResidentNumericsTest, TwentyStepsAreThoseOfLibTorchInDouble) {
  std::vector<LayerSpec> layers = GetParam().layers;
  layers.push_back(layer_of("linear", {.out = 3}));
  const Graph graph = Graph::build(GetParam().input, layers);
  const SampleArrays data =
      SampleArrays::random(kSamples, element_count(graph.input().shape), 3, 5);
  const SampleSource source = data.source();
  const ParameterArena global = initial_parameters(graph, 3);
  const LocalPlan plan = local_plan();
  const TrainRequest request{.plan = &plan, .source = &source, .global = global.values()};
  const std::vector<double> expected = train_in_double(graph, request);
  for (const kernels::LaneKernels* kernels : every_width()) {
    const auto executor = resident::make_resident_executor(graph, *kernels);
    executor->train(request);
    double error = 0.0;
    double moved = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      error += std::pow(double{executor->parameters()[i]} - expected[i], 2);
      moved += std::pow(expected[i] - double{global.values()[i]}, 2);
    }
    EXPECT_GT(moved, 1e-4);
    EXPECT_LT(std::sqrt(error / moved), 1e-4) << kernels->isa;
  }
}

// Of the whole training, over how far it has moved the weights.
double relative_error(std::span<const float> got, const std::vector<double>& expected,
                      std::span<const float> start) {
  double error = 0.0;
  double moved = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(double{got[i]} - expected[i], 2);
    moved += std::pow(expected[i] - double{start[i]}, 2);
  }
  return std::sqrt(error / moved);
}

// Parts of batches, fewer bits and fewer layers: the same numbers from both executors.
TEST_P(ResidentNumericsTest, LeversOfMemoryKeepToLibTorchInDouble) {
  std::vector<LayerSpec> layers = GetParam().layers;
  layers.push_back(layer_of("linear", {.out = 3}));
  const Graph graph = Graph::build(GetParam().input, layers);
  const SampleArrays data =
      SampleArrays::random(kSamples, element_count(graph.input().shape), 3, 5);
  const SampleSource source = data.source();
  const ParameterArena global = initial_parameters(graph, 3);
  for (const std::int64_t freeze_first : {0, 1}) {
    if (freeze_first >= weight_layers(graph)) continue;
    LocalPlan plan = local_plan();
    plan.memory = {.micro_batch = 4, .freeze_first = freeze_first};
    const TrainRequest request{.plan = &plan, .source = &source, .global = global.values()};
    const std::vector<double> expected = train_in_double(graph, request);
    const auto libtorch = make_executor("libtorch", graph);
    libtorch->train(request);
    EXPECT_LT(relative_error(libtorch->parameters(), expected, global.values()), 1e-4)
        << "libtorch, " << freeze_first << " frozen";
    plan.memory.relu_bits = true;
    plan.memory.fused_pools = true;
    for (const kernels::LaneKernels* kernels : every_width()) {
      const auto executor = resident::make_resident_executor(graph, *kernels);
      executor->train(request);
      EXPECT_LT(relative_error(executor->parameters(), expected, global.values()), 1e-4)
          << kernels->isa << ", " << freeze_first << " frozen";
    }
  }
}

TEST(RefusedMemoryTest, LeversThatAnExecutorCannotPullAreNamed) {
  const Graph graph = Graph::build(numbers({4}), {layer_of("linear", {.out = 8}), layer_of("relu"),
                                                  layer_of("linear", {.out = 3})});
  const auto refused = [&](const char* executor, const MemorySpec& memory,
                           const std::vector<LossTerm>& terms = {LossTerm{}}) {
    LocalPlan plan;
    plan.memory = memory;
    plan.loss_terms = terms;
    return make_executor(executor, graph)->refusal(plan);
  };
  const char* why =
      ": executor libtorch leaves to its library what is kept for the backward pass; "
      "resident can choose";
  EXPECT_EQ(refused("libtorch", {.relu_bits = true}), std::string("train.memory.relu_bits") + why);
  EXPECT_EQ(refused("libtorch", {.fused_pools = true}),
            std::string("train.memory.fused_pools") + why);
  EXPECT_EQ(refused("libtorch", {.saved_bits = 8}), std::string("train.memory.saved_bits") + why);
  EXPECT_EQ(refused("libtorch", {.micro_batch = 4, .freeze_first = 1}), "");
  EXPECT_EQ(refused("resident",
                    {.micro_batch = 4, .relu_bits = true, .saved_bits = 8, .freeze_first = 1}),
            "");
  for (const char* executor : {"resident", "libtorch"}) {
    EXPECT_NE(refused(executor, {.freeze_first = 2}).find("less than the 2 layers"),
              std::string::npos);
    EXPECT_NE(refused(executor, {.micro_batch = -1}), "");
    EXPECT_NE(refused(executor, {.saved_bits = 4}), "");
  }
  const std::vector<LossTerm> matched = {LossTerm{},
                                         {.kind = LossKind::kFeatureMatching, .buffer = "relu1"}};
  EXPECT_EQ(refused("libtorch", {}, matched), "");
  EXPECT_NE(refused("libtorch", {.micro_batch = 4}, matched).find("train.memory.micro_batch"),
            std::string::npos);
  EXPECT_EQ(make_executor("libtorch", graph)->memory({}), std::nullopt);
}

// Without clipping a large matrix is stepped while its gradient is made; a bound that never holds
// makes it wait for the whole gradient.
TEST(ResidentExecutorTest, StepsOfLargeMatricesHaveTheSameBitsEarlyAndLate) {
  const Graph graph =
      Graph::build(numbers({12}), {layer_of("linear", {.out = 300}), layer_of("relu"),
                                   layer_of("linear", {.out = 257}), layer_of("relu"),
                                   layer_of("linear", {.out = 3})});
  const SampleArrays data = SampleArrays::random(kSamples, 12, 3, 5);
  const SampleSource source = data.source();
  const ParameterArena global = initial_parameters(graph, 3);
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    std::vector<std::vector<float>> weights;
    for (const double clip_norm : {0.0, 1e30}) {
      LocalPlan plan = local_plan();
      plan.optimizer.kind = kind;
      plan.clip_norm = clip_norm;
      const auto executor = resident::make_resident_executor(graph);
      executor->train({.plan = &plan, .source = &source, .global = global.values()});
      weights.emplace_back(executor->parameters().begin(), executor->parameters().end());
    }
    EXPECT_EQ(weights[0], weights[1]);
    EXPECT_NE(weights[0], std::vector<float>(global.values().begin(), global.values().end()));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, ResidentNumericsTest, ::testing::ValuesIn(resident_cases()),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace coppice
