#include "models/libtorch/arena_tensors.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "core/parameter_arena.h"
#include "models/libtorch/forward.h"
#include "tests/models/input_specs.h"

namespace coppice::libtorch {
namespace {

Graph small_graph() {
  return Graph::build(numbers({1, 4, 4}), {{"conv2d", "conv", {}, {.out = 2, .kernel = {3, 3}}},
                                           {"batch_norm", "norm", {}, {}},
                                           {"flatten", "flatten", {}, {}},
                                           {"linear", "classifier", {}, {.out = 3}}});
}

TEST(ArenaTensorsTest, BackwardAccumulatesIntoTheGradientArenaInPlace) {
  const Graph graph = small_graph();
  ParameterArena weights = initial_parameters(graph, 1);
  ParameterArena gradient(graph);
  const std::vector<at::Tensor> leaves =
      trainable_leaves(graph, weights.values().data(), gradient.values().data());
  const Forward forward(graph);
  const at::Tensor sample = at::tensor(std::vector<float>(16, 0.5F)).reshape({1, 1, 4, 4});
  forward.run(leaves, sample).sum().backward();
  const std::vector<float> once(gradient.values().begin(), gradient.values().end());
  const ParameterSpec& bias =
      graph.parameters()[static_cast<std::size_t>(graph.parameter_named("classifier.bias"))];
  for (const float g : gradient.view(bias)) EXPECT_EQ(g, 1.0F);  // of the sum
  forward.run(leaves, sample).sum().backward();
  for (std::size_t i = 0; i < once.size(); ++i)
    EXPECT_EQ(gradient.values()[i], 2.0F * once[i]) << i;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const ParameterSpec& parameter = graph.parameters()[i];
    EXPECT_EQ(leaves[i].const_data_ptr<float>(), weights.values().data() + parameter.offset)
        << parameter.name;
    if (!parameter.is_trainable) continue;
    EXPECT_EQ(leaves[i].grad().const_data_ptr<float>(), gradient.values().data() + parameter.offset)
        << parameter.name;
  }
}

TEST(ArenaTensorsTest, StatisticsAskForNoGradient) {
  const Graph graph = small_graph();
  ParameterArena weights(graph), gradient(graph);
  const auto leaves = trainable_leaves(graph, weights.values().data(), gradient.values().data());
  EXPECT_FALSE(
      leaves[static_cast<std::size_t>(graph.parameter_named("norm.running_var"))].requires_grad());
  EXPECT_TRUE(
      leaves[static_cast<std::size_t>(graph.parameter_named("norm.weight"))].requires_grad());
}

}  // namespace
}  // namespace coppice::libtorch
