// The resident executor against LibTorch in double: 20 steps of the same local training, for every
// operation, instruction set of this CPU, odd sizes and partial batches.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/parameter_arena.h"
#include "models/batch.h"
#include "models/libtorch/forward.h"
#include "models/resident/executor.h"
#include "tests/models/input_specs.h"
#include "tests/models/sample_arrays.h"

namespace coppice {

namespace kernels {
extern const LaneKernels kSixteenLaneKernels;
}

namespace {

constexpr std::int64_t kSamples = 27;  // three batches of 11, 11 and 5
constexpr std::int64_t kSteps = 20;

struct NumericsCase {
  std::string name;
  InputSpec input;
  std::vector<LayerSpec> layers;  // without the classifier of 3 classes
};

LayerSpec layer(const std::string& op, const Attributes& attributes = {}) {
  return {op, "", {}, attributes};
}

std::vector<NumericsCase> cases() {
  const LayerSpec flat = layer("flatten");
  const LayerSpec relu = layer("relu");
  const auto conv = [](std::int64_t out, Pair kernel, Pair stride, Pair padding,
                       std::int64_t groups = 1) {
    return layer(
        "conv2d",
        {.out = out, .kernel = kernel, .stride = stride, .padding = padding, .groups = groups});
  };
  return {
      {"logistic", numbers({13}), {}},
      {"mlp", numbers({19}), {layer("linear", {.out = 37}), relu, layer("linear", {.out = 9})}},
      {"large_matrix",
       numbers({5}),
       {layer("linear", {.out = 541}), relu, layer("linear", {.out = 131}), relu}},
      {"normalize",
       numbers({2, 3, 3}),
       {layer("normalize", {.mean = 0.4, .deviation = 0.3}), flat}},
      {"normalize_behind_weights",
       numbers({2, 5, 5}),
       {conv(4, {3, 3}, {1, 1}, {0, 0}), layer("normalize", {.mean = 0.1, .deviation = 0.5}), relu,
        flat}},
      {"first_convolution", numbers({1, 9, 9}), {conv(6, {5, 5}, {1, 1}, {0, 0}), relu, flat}},
      {"odd_convolutions",
       numbers({3, 7, 5}),
       {conv(5, {3, 2}, {1, 1}, {1, 0}), relu, conv(11, {2, 3}, {1, 1}, {0, 1}), relu, flat}},
      {"strided",
       numbers({2, 9, 8}),
       {conv(4, {3, 3}, {1, 1}, {1, 1}), conv(7, {3, 3}, {2, 2}, {1, 1}), relu,
        conv(6, {2, 3}, {3, 2}, {0, 1}), flat}},
      {"one_by_one_strided",
       numbers({2, 6, 6}),
       {conv(9, {1, 1}, {1, 1}, {0, 0}), conv(5, {1, 1}, {2, 2}, {0, 0}), flat}},
      {"gaps_between_windows",
       numbers({1, 11, 11}),
       {conv(3, {1, 1}, {1, 1}, {0, 0}), conv(4, {2, 2}, {3, 4}, {0, 0}), relu, flat}},
      {"wide_padding",
       numbers({2, 4, 4}),
       {conv(3, {1, 1}, {1, 1}, {0, 0}), conv(5, {3, 3}, {1, 1}, {3, 4}), relu, flat}},
      {"groups",
       numbers({4, 6, 6}),
       {conv(6, {3, 3}, {1, 1}, {1, 1}, 2), relu, conv(9, {3, 3}, {2, 1}, {1, 0}, 3), flat}},
      {"depthwise",
       numbers({5, 7, 7}),
       {conv(10, {1, 1}, {1, 1}, {0, 0}), relu, conv(10, {3, 3}, {2, 2}, {1, 1}, 10), relu,
        conv(6, {1, 1}, {1, 1}, {0, 0}), layer("global_avg_pool")}},
      // Channels innermost with any lanes: all are multiples of 16.
      {"wide_convolutions",
       numbers({3, 9, 8}),
       {conv(16, {3, 3}, {1, 1}, {1, 1}), relu, conv(48, {2, 3}, {2, 1}, {1, 0}), relu,
        conv(32, {3, 2}, {1, 2}, {2, 1}), relu, flat}},
      {"wide_pools",
       numbers({1, 13, 13}),
       {layer("normalize", {.mean = 0.2, .deviation = 0.7}), conv(32, {3, 3}, {1, 1}, {0, 0}), relu,
        layer("max_pool2d", {.kernel = {2, 2}}), conv(16, {5, 5}, {1, 1}, {2, 2}),
        layer("leaky_relu", {.slope = 0.1}),
        layer("max_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
        layer("avg_pool2d", {.kernel = {2, 2}, .stride = {1, 1}}), layer("global_avg_pool")}},
      {"wide_residual",
       numbers({16, 6, 6}),
       {{"conv2d", "a", {}, {.out = 16, .kernel = {3, 3}, .padding = {1, 1}}},
        {"relu", "b", {}, {}},
        {"conv2d", "c", {}, {.out = 16, .kernel = {3, 3}, .padding = {1, 1}, .bias = false}},
        {"add", "d", {"c", "b", "a"}, {}},
        {"relu", "e", {}, {}},
        {"flatten", "f", {}, {}},
        {"global_avg_pool", "g", {"d"}, {}},
        {"concat", "h", {"f", "g"}, {}}}},
      {"max_pool",
       numbers({2, 9, 9}),
       {conv(4, {3, 3}, {1, 1}, {0, 0}), relu, layer("max_pool2d", {.kernel = {2, 2}}), flat}},
      {"overlapping_max_pool",
       numbers({2, 8, 8}),
       {conv(4, {3, 3}, {1, 1}, {1, 1}),
        layer("max_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}), flat}},
      {"average_pool",
       numbers({2, 8, 8}),
       {conv(4, {3, 3}, {1, 1}, {1, 1}), layer("relu6"),
        layer("avg_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}), flat}},
      {"leaky_relu",
       numbers({8}),
       {layer("linear", {.out = 7}), layer("leaky_relu", {.slope = 0.2})}},
      {"group_norm",
       numbers({2, 7, 5}),
       {conv(12, {3, 3}, {1, 1}, {1, 1}), layer("group_norm", {.group_size = 4}), relu,
        conv(6, {3, 3}, {2, 2}, {1, 1}), layer("group_norm", {.group_size = 3}),
        layer("global_avg_pool")}},
      {"residual",
       numbers({3, 6, 6}),
       {{"conv2d", "a", {}, {.out = 8, .kernel = {3, 3}, .padding = {1, 1}}},
        {"relu", "b", {}, {}},
        {"conv2d", "c", {}, {.out = 8, .kernel = {3, 3}, .padding = {1, 1}}},
        {"add", "d", {"c", "b", "a"}, {}},
        {"relu", "e", {}, {}},
        {"flatten", "f", {}, {}}}},
      {"concat",
       numbers({2, 5, 5}),
       {{"conv2d", "a", {}, {.out = 3, .kernel = {2, 2}}},
        {"relu", "b", {}, {}},
        {"conv2d", "c", {"a"}, {.out = 5, .kernel = {1, 1}}},
        {"concat", "d", {"b", "c", "b"}, {}},
        {"flatten", "e", {}, {}}}},
      {"dropout",
       numbers({17}),
       {layer("linear", {.out = 21}), relu, layer("dropout", {.rate = 0.4})}},
  };
}

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

class ResidentNumericsTest : public ::testing::TestWithParam<NumericsCase> {};

// Relative to how far training has moved the weights, which is less than their size.
TEST_P(ResidentNumericsTest, TwentyStepsAreThoseOfLibTorchInDouble) {
  std::vector<LayerSpec> layers = GetParam().layers;
  layers.push_back(layer("linear", {.out = 3}));
  const Graph graph = Graph::build(GetParam().input, layers);
  const SampleArrays data =
      SampleArrays::random(kSamples, element_count(graph.input().shape), 3, 5);
  const SampleSource source = data.source();
  const ParameterArena global = initial_parameters(graph, 3);
  const LocalPlan plan = local_plan();
  const TrainRequest request{.plan = &plan, .source = &source, .global = global.values()};
  const std::vector<double> expected = train_in_double(graph, request);
  std::vector<const kernels::LaneKernels*> all = {&kernels::kSixteenLaneKernels};
  const auto own = kernels::all_lane_kernels();
  all.insert(all.end(), own.begin(), own.end());
  for (const kernels::LaneKernels* kernels : all) {
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

// Without clipping a large matrix is stepped while its gradient is made; a bound that never holds
// makes it wait for the whole gradient.
TEST(ResidentExecutorTest, StepsOfLargeMatricesHaveTheSameBitsEarlyAndLate) {
  const Graph graph = Graph::build(
      numbers({12}), {layer("linear", {.out = 300}), layer("relu"), layer("linear", {.out = 257}),
                      layer("relu"), layer("linear", {.out = 3})});
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

INSTANTIATE_TEST_SUITE_P(Every, ResidentNumericsTest, ::testing::ValuesIn(cases()),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace coppice
