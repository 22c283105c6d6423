// Every network of cases.h through training, evaluation and inference, for the sanitizers to watch;
// the numbers are held to LibTorch's in tests/models/libtorch.

#include <gtest/gtest.h>

#include <cmath>

#include "core/parameter_arena.h"
#include "models/resident/executor.h"
#include "models/zoo.h"
#include "tests/models/sample_arrays.h"
#include "tests/resident/cases.h"

namespace coppice {
namespace {

class ResidentStepsTest : public ::testing::TestWithParam<ResidentCase> {};

// 26 samples in batches of 11, 11 and 4: whole chunks and partial ones.
TEST_P(ResidentStepsTest, TrainingLearnsAndRepeatsItsBits) {
  std::vector<LayerSpec> layers = GetParam().layers;
  layers.push_back(layer_of("linear", {.out = 3}));
  const Graph graph = Graph::build(GetParam().input, layers);
  const SampleArrays data = SampleArrays::random(26, element_count(graph.input().shape), 3, 7);
  const SampleSource source = data.source();
  const ParameterArena global = initial_parameters(graph, 5);
  LocalPlan plan;
  plan.optimizer.lr = 0.02;
  plan.optimizer.momentum = 0.9;
  plan.epochs = 16;
  plan.batch_size = 11;
  const TrainRequest request{.plan = &plan, .source = &source, .global = global.values()};
  std::vector<std::int64_t> indices(26);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
  for (const kernels::LaneKernels* kernels : every_width()) {
    const auto executor = resident::make_resident_executor(graph, *kernels);
    const double before =
        executor->evaluate({.parameters = global.values()}, source, indices).loss_sum;
    executor->train(request);
    const std::vector<float> first(executor->parameters().begin(), executor->parameters().end());
    const double after = executor->evaluate({.parameters = first}, source, indices).loss_sum;
    EXPECT_LT(after, before) << kernels->isa;
    executor->train(request);
    EXPECT_TRUE(std::ranges::equal(first, executor->parameters())) << kernels->isa;
    for (const float logit : executor->infer({.parameters = first}, data.samples()))
      ASSERT_TRUE(std::isfinite(logit)) << kernels->isa;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, ResidentStepsTest, ::testing::ValuesIn(resident_cases()),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace coppice
