// Every operation's gradient, of its parameters and of what flows into it, against central
// differences in double.

#include <ATen/ops/dot.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/models/input_specs.h"
#include "tests/models/libtorch/double_graph.h"

namespace coppice::libtorch {
namespace {

struct GradientCase {
  OpKind op;
  InputSpec input;
  std::vector<LayerSpec> layers;
};

GradientCase single(OpKind op, InputSpec input, const Attributes& attributes = {}) {
  return {op, std::move(input), {{std::string(op_info(op).name), "subject", {}, attributes}}};
}

std::vector<GradientCase> cases() {
  const LayerSpec left{"linear", "left", {"input"}, {.out = 3}};
  const LayerSpec middle{"linear", "middle", {"input"}, {.out = 3}};
  const LayerSpec right{"linear", "right", {"input"}, {.out = 3}};
  const LayerSpec images{"conv2d", "images", {"input"}, {.out = 3, .kernel = {2, 2}}};
  return {
      {OpKind::input, numbers({3}), {{"linear", "subject", {}, {.out = 2}}}},
      single(OpKind::normalize, numbers({2, 3, 3}), {.mean = 0.5, .deviation = 0.25}),
      single(OpKind::conv2d, numbers({2, 5, 4}), {.out = 3, .kernel = {3, 2}}),
      single(OpKind::conv2d, numbers({4, 5, 5}),
             {.out = 6,
              .kernel = {3, 3},
              .stride = {2, 1},
              .padding = {1, 0},
              .groups = 2,
              .bias = false}),
      single(OpKind::linear, numbers({4}), {.out = 3}),
      single(OpKind::linear, numbers({3, 4}), {.out = 2, .bias = false}),
      single(OpKind::relu, numbers({7})),
      {OpKind::relu6,
       numbers({7}),
       {{"normalize", "scale", {}, {.deviation = 0.1}}, {"relu6", "subject", {}, {}}}},
      single(OpKind::leaky_relu, numbers({7}), {.slope = 0.2}),
      single(OpKind::gelu, numbers({7})),
      single(OpKind::tanh, numbers({7})),
      single(OpKind::sigmoid, numbers({7})),
      single(OpKind::max_pool2d, numbers({2, 5, 5}), {.kernel = {2, 2}}),
      single(OpKind::max_pool2d, numbers({2, 5, 5}),
             {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
      single(OpKind::avg_pool2d, numbers({2, 5, 5}),
             {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
      single(OpKind::global_avg_pool, numbers({3, 4, 4})),
      {OpKind::flatten,
       numbers({2, 3, 2}),
       {{"flatten", "subject", {}, {}}, {"linear", "out", {}, {.out = 2}}}},
      {OpKind::add,
       numbers({4}),
       {left, middle, right, {"add", "subject", {"left", "middle", "right"}, {}}}},
      {OpKind::concat, numbers({4}), {left, right, {"concat", "subject", {"left", "right"}, {}}}},
      {OpKind::concat,
       numbers({2, 3, 3}),
       {images, {"relu", "relu", {}, {}}, {"concat", "subject", {"images", "relu"}, {}}}},
      {OpKind::concat,
       numbers({2, 4}),
       {left, right, {"concat", "subject", {"left", "right"}, {}}}},
      {OpKind::channel_scale,
       numbers({2, 3, 3}),
       {images,
        {"global_avg_pool", "pooled", {}, {}},
        {"sigmoid", "scales", {}, {}},
        {"channel_scale", "subject", {"images", "scales"}, {}}}},
      single(OpKind::group_norm, numbers({4, 2, 3}), {.group_size = 2}),
      single(OpKind::batch_norm, numbers({3, 2, 2})),
      single(OpKind::layer_norm, numbers({2, 5})),
      single(OpKind::layer_norm, numbers({5})),
      single(OpKind::dropout, numbers({9}), {.rate = 0.4}),
      single(OpKind::embedding, ids(5), {.out = 3, .vocabulary = 4}),
      single(OpKind::positions, numbers({3, 4})),
      single(OpKind::attention, numbers({4, 6}), {.heads = 2, .causal = true}),
      single(OpKind::attention, numbers({3, 4}), {.bias = false, .heads = 3, .head_size = 2}),
      single(OpKind::lstm, numbers({3, 2}), {.hidden = 3}),
      single(OpKind::gru, numbers({3, 2}), {.hidden = 3}),
      single(OpKind::last_step, numbers({3, 4})),
      single(OpKind::slice, numbers({6}), {.begin = 2, .length = 3}),
      single(OpKind::embedding_bag, ids(5), {.out = 3, .vocabulary = 4}),
      {OpKind::dot_interaction,
       numbers({4}),
       {left, middle, right, {"dot_interaction", "subject", {"left", "middle", "right"}, {}}}},
  };
}

at::Tensor some_samples(const InputSpec& input, RandomStream& stream) {
  constexpr std::int64_t kSamples = 2;
  Shape shape = input.shape;
  shape.insert(shape.begin(), kSamples);
  at::Tensor samples = DoubleGraph::random_tensor(shape, stream);
  // Ids 0..3, some of them twice.
  if (input.type == ElementType::kInt32) samples = samples.abs_().mul_(3.999).floor_();
  return samples;
}

// The scalar whose gradient is checked: the output weighted by fixed random numbers.
class Objective {
 public:
  Objective(const DoubleGraph& graph, const at::Tensor& samples, RandomStream& stream)
      : graph_(graph), samples_(samples) {
    coefficients_ = DoubleGraph::random_tensor({graph.run(samples, &kDropout).numel()}, stream);
  }
  at::Tensor operator()() const {
    return at::dot(graph_.run(samples_, &kDropout).reshape({-1}), coefficients_);
  }

 private:
  static constexpr DropoutKey kDropout{.seed = 3, .client = 1, .round = 2, .step = 1};
  const DoubleGraph& graph_;
  at::Tensor samples_;
  at::Tensor coefficients_;
};

// Compares `gradient` with differences of `objective` when elements of `variable` move.
void expect_differences(const Objective& objective, const at::Tensor& variable,
                        const std::string& what) {
  constexpr double kStep = 1e-6;
  const at::Tensor gradient = variable.grad().contiguous();
  const at::Tensor values = variable.detach();  // shares memory
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    double& value = values.mutable_data_ptr<double>()[i];
    const double original = value;
    value = original + kStep;
    const double above = objective().item<double>();
    value = original - kStep;
    const double below = objective().item<double>();
    value = original;
    ASSERT_NEAR(gradient.const_data_ptr<double>()[i], (above - below) / (2.0 * kStep), 1e-7)
        << what << " element " << i;
  }
}

TEST(GradientTest, OfEveryOperationEqualsCentralDifferences) {
  for (const GradientCase& gradient_case : cases()) {
    const std::string name(op_info(gradient_case.op).name);
    DoubleGraph graph(gradient_case.input, gradient_case.layers);
    RandomStream stream({.purpose = Purpose::kGenerated, .task = 1});
    at::Tensor samples = some_samples(graph.graph().input(), stream);
    const bool has_real_input = gradient_case.input.type == ElementType::kFloat32;
    if (has_real_input) samples.set_requires_grad(true);
    for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
      graph.parameters[i].set_requires_grad(graph.graph().parameters()[i].is_trainable);
    }
    const Objective objective(graph, samples, stream);
    objective().backward();
    if (has_real_input) expect_differences(objective, samples, name + ", input");
    for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
      if (!graph.parameters[i].requires_grad()) continue;
      expect_differences(objective, graph.parameters[i],
                         name + ", " + graph.graph().parameters()[i].name);
    }
  }
}

TEST(GradientTest, EveryOperationHasACaseThatUsesIt) {
  for (const OpInfo& info : known_ops()) {
    const auto list = cases();
    const auto found = std::ranges::find(list, info.op, &GradientCase::op);
    ASSERT_NE(found, list.end()) << "no gradient case for " << info.name;
    const Graph graph = Graph::build(found->input, found->layers);
    EXPECT_TRUE(std::ranges::any_of(graph.nodes(), [&](const Node& node) {
      return node.op == info.op;
    })) << info.name;
  }
}

}  // namespace
}  // namespace coppice::libtorch
