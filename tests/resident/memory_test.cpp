// The levers of MemorySpec on every network of cases.h, and the bytes that the executor says it
// takes against those it allocates.

#include <gtest/gtest.h>
#include <malloc.h>  // for malloc_usable_size

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>
#include <numeric>

#include "core/parameter_arena.h"
#include "models/resident/executor.h"
#include "models/zoo.h"
#include "tests/core/thrown.h"
#include "tests/models/sample_arrays.h"
#include "tests/resident/cases.h"

namespace {

// Of this test program.
std::atomic<std::int64_t> live_bytes = 0;
std::atomic<std::int64_t> peak_bytes = 0;

void* counted(void* p) {
  if (p == nullptr) throw std::bad_alloc();
  live_bytes += static_cast<std::int64_t>(malloc_usable_size(p));
  std::int64_t peak = peak_bytes;
  while (live_bytes > peak && !peak_bytes.compare_exchange_weak(peak, live_bytes)) {
  }
  return p;
}

void release(void* p) {
  if (p == nullptr) return;
  live_bytes -= static_cast<std::int64_t>(malloc_usable_size(p));
  std::free(p);
}

}  // namespace

void* operator new(std::size_t size) { return counted(std::malloc(size)); }
void* operator new[](std::size_t size) { return counted(std::malloc(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(to, (size + to - 1) / to * to));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return operator new(size, alignment);
}
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }

namespace coppice {
namespace {

constexpr std::int64_t kSamples = 27;

LocalPlan plan_with(const MemorySpec& memory, std::int64_t steps = 6) {
  LocalPlan plan;
  plan.optimizer.lr = 0.05;
  plan.optimizer.momentum = 0.9;
  plan.optimizer.weight_decay = 1e-3;
  plan.epochs = 0;
  plan.steps = steps;
  plan.batch_size = 11;
  plan.memory = memory;
  return plan;
}

Graph zoo_model(const char* name, const Shape& shape) {
  ModelConfig config;
  config.name = name;
  return make_model(config, {.input = numbers(shape)});
}

class MemoryLeversTest : public ::testing::TestWithParam<ResidentCase> {
 protected:
  static Graph build() {
    std::vector<LayerSpec> layers = GetParam().layers;
    layers.push_back(layer_of("linear", {.out = 3}));
    return Graph::build(GetParam().input, layers);
  }

  std::vector<float> trained(const LocalPlan& plan, const kernels::LaneKernels& kernels,
                             const QuantPlan* quant = nullptr) const {
    const auto executor = resident::make_resident_executor(graph_, kernels);
    executor->train(
        {.plan = &plan, .source = &source_, .global = global_.values(), .quant = quant});
    return {executor->parameters().begin(), executor->parameters().end()};
  }

  // How far `got` is from `expected`, over how far that is from the start.
  double error(std::span<const float> got, std::span<const float> expected) const {
    double off = 0.0;
    double moved = 0.0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      off += std::pow(double{got[i]} - double{expected[i]}, 2);
      moved += std::pow(double{expected[i]} - double{global_.values()[i]}, 2);
    }
    return std::sqrt(off / moved);
  }

  Graph graph_ = build();
  ParameterArena global_ = initial_parameters(graph_, 3);
  SampleArrays data_ = SampleArrays::random(kSamples, element_count(graph_.input().shape), 3, 5);
  SampleSource source_ = data_.source();
};

TEST_P(MemoryLeversTest, BitsInPlaceOfActivationsGiveTheSameBits) {
  for (const kernels::LaneKernels* kernels : every_width()) {
    const std::vector<float> plain = trained(plan_with({}), *kernels);
    EXPECT_EQ(trained(plan_with({.relu_bits = true}), *kernels), plain) << kernels->isa;
  }
}

TEST_P(MemoryLeversTest, BitsInPlaceOfActivationsGiveTheSameBitsOnGrids) {
  QuantPlan quant;
  for (std::size_t i = 1; i < graph_.nodes().size(); ++i)
    quant.activations.push_back({.node = graph_.nodes()[i].name, .scale = 0.02F, .zero_point = 70});
  for (const kernels::LaneKernels* kernels : every_width()) {
    const std::vector<float> plain = trained(plan_with({}), *kernels, &quant);
    EXPECT_EQ(trained(plan_with({.relu_bits = true}), *kernels, &quant), plain) << kernels->isa;
  }
}

TEST_P(MemoryLeversTest, MicroBatchesSumToTheBatch) {
  for (const kernels::LaneKernels* kernels : every_width()) {
    const std::vector<float> plain = trained(plan_with({}), *kernels);
    EXPECT_LT(error(trained(plan_with({.micro_batch = 4}), *kernels), plain), 1e-4) << kernels->isa;
    EXPECT_EQ(trained(plan_with({.micro_batch = 11}), *kernels), plain) << kernels->isa;
    EXPECT_EQ(trained(plan_with({.micro_batch = 500}), *kernels), plain) << kernels->isa;
  }
}

TEST_P(MemoryLeversTest, PoolsAreFusedUpToTheRoundingOfSums) {
  for (const kernels::LaneKernels* kernels : every_width()) {
    const std::vector<float> plain = trained(plan_with({}), *kernels);
    const std::vector<float> fused = trained(plan_with({.fused_pools = true}), *kernels);
    EXPECT_LT(error(fused, plain), 1e-4) << kernels->isa;
    EXPECT_EQ(trained(plan_with({.relu_bits = true, .fused_pools = true}), *kernels), fused)
        << kernels->isa;
  }
}

// Only gradients of weights see the codes: after one step biases have the same bits.
TEST_P(MemoryLeversTest, CodesTouchTheGradientOfWeightsAlone) {
  for (const kernels::LaneKernels* kernels : every_width()) {
    const std::vector<float> plain = trained(plan_with({}, 1), *kernels);
    const std::vector<float> coded = trained(plan_with({.saved_bits = 8}, 1), *kernels);
    EXPECT_NE(coded, plain) << kernels->isa;
    EXPECT_LT(error(coded, plain), 0.05) << kernels->isa;
    for (const ParameterSpec& parameter : graph_.parameters()) {
      if (!parameter.name.ends_with(".bias")) continue;
      for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.size(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(coded[at], plain[at]) << kernels->isa << ", " << parameter.name;
      }
    }
  }
}

TEST_P(MemoryLeversTest, FrozenLayersStayAndTheRestLearnsAsIfTheyHadBeenPutBack) {
  const LocalPlan one = plan_with({.freeze_first = 1}, 1);
  const auto refuses =
      resident::make_resident_executor(graph_, kernels::lane_kernels())->refusal(one);
  if (GetParam().name == "logistic" || GetParam().name == "normalize") {
    EXPECT_EQ(refuses,
              "train.memory.freeze_first: expected less than the 1 layers with weights, for one "
              "has to learn; got 1");
    return;
  }
  ASSERT_EQ(refuses, "");
  const std::vector<float> start(global_.values().begin(), global_.values().end());
  for (const kernels::LaneKernels* kernels : every_width()) {
    const std::vector<float> plain = trained(plan_with({}, 1), *kernels);
    for (MemorySpec memory : {MemorySpec{}, MemorySpec{.relu_bits = true}}) {
      memory.freeze_first = 1;
      const std::vector<float> frozen = trained(plan_with(memory, 1), *kernels);
      bool is_frozen = true;  // of the first layers
      std::int64_t layers = 0;
      for (const Node& node : graph_.nodes()) {
        if (node.parameters.empty()) continue;
        is_frozen = is_frozen && (layers == 0 || node.op == OpKind::group_norm);
        ++layers;
        for (const int index : node.parameters) {
          const ParameterSpec& parameter = graph_.parameters()[static_cast<std::size_t>(index)];
          for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.size(); ++i) {
            const auto at = static_cast<std::size_t>(i);
            ASSERT_EQ(frozen[at], is_frozen ? start[at] : plain[at]) << parameter.name;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, MemoryLeversTest, ::testing::ValuesIn(resident_cases()),
                         [](const auto& of) { return of.param.name; });

// Rounding to the nearest is not right on average, number by number. What the gradient of weights
// has of it, along itself, over forty batches: its mean is no further from zero than chance takes
// it, and a thousandth at most.
TEST(SavedBitsTest, TheGradientIsNotBiased) {
  const Graph graph = zoo_model("lenet5", {1, 28, 28});
  const ParameterArena global = initial_parameters(graph, 3);
  const SampleArrays data = SampleArrays::random(640, 784, 10, 5);
  const SampleSource source = data.source();
  const auto exact = resident::make_resident_executor(graph);
  const auto coded = resident::make_resident_executor(graph);
  std::vector<double> along;
  double largest = 0.0;
  for (std::int64_t round = 1; round <= 40; ++round) {
    LocalPlan plan = plan_with({}, 1);
    plan.batch_size = 64;
    TrainRequest request{.plan = &plan, .source = &source, .global = global.values()};
    request.round = round;
    exact->train(request);
    plan.memory.saved_bits = 8;
    coded->train(request);
    double product = 0.0;
    double square = 0.0;
    double error = 0.0;
    for (std::size_t i = 0; i < global.values().size(); ++i) {
      const double g = double{exact->parameters()[i]} - double{global.values()[i]};
      const double e = double{coded->parameters()[i]} - double{exact->parameters()[i]};
      product += g * e;
      square += g * g;
      error += e * e;
    }
    along.push_back(product / square);
    largest = std::max(largest, std::sqrt(error / square));
  }
  const auto n = static_cast<double>(along.size());
  const double mean = std::accumulate(along.begin(), along.end(), 0.0) / n;
  RecordProperty("mean", std::to_string(mean));
  EXPECT_LT(std::abs(mean), 1e-3);
  EXPECT_GT(largest, 1e-6);
  EXPECT_LT(largest, 0.02);
}

// The values of forward passes are the same with every layout, and so are evaluations on any rank.
TEST(MemoryLayoutTest, AnswersDoNotDependOnThePlanThatIsThere) {
  const Graph graph = zoo_model("lenet5", {1, 28, 28});
  const ParameterArena global = initial_parameters(graph, 3);
  const SampleArrays data = SampleArrays::random(70, 784, 10, 5);
  const SampleSource source = data.source();
  const auto executor = resident::make_resident_executor(graph);
  const std::vector<float> before = executor->infer({global.values()}, data.samples());
  for (const MemorySpec& memory :
       {MemorySpec{}, MemorySpec{.micro_batch = 5, .relu_bits = true, .saved_bits = 8}}) {
    const LocalPlan plan = plan_with(memory, 1);
    executor->train({.plan = &plan, .source = &source, .global = global.values()});
    EXPECT_EQ(executor->infer({global.values()}, data.samples()), before);
  }
}

struct MemoryCase {
  const char* name;
  const char* model;
  Shape shape;
  MemorySpec memory;
  OptimizerKind optimizer = OptimizerKind::kSgd;
};

class MemoryCountTest : public ::testing::TestWithParam<MemoryCase> {};

TEST_P(MemoryCountTest, IsWhatIsAllocatedAtThePeakWithinFivePercent) {
  const MemoryCase& of = GetParam();
  const Graph graph = zoo_model(of.model, of.shape);
  const ParameterArena global = initial_parameters(graph, 3);
  const SampleArrays data = SampleArrays::random(200, element_count(of.shape), 10, 5);
  const SampleSource source = data.source();
  LocalPlan plan = plan_with(of.memory, 5);
  plan.batch_size = 64;
  plan.optimizer.kind = of.optimizer;
  if (of.optimizer == OptimizerKind::kAdamW) plan.optimizer.momentum = 0.0;

  const std::int64_t before = live_bytes;
  const auto executor = resident::make_resident_executor(graph);
  peak_bytes = live_bytes.load();
  executor->train({.plan = &plan, .source = &source, .global = global.values()});
  const std::int64_t taken = peak_bytes - before;
  const MemoryUse use = *executor->memory({.plan = &plan, .samples = source.size});
  const auto allocated = static_cast<double>(
      taken + static_cast<std::int64_t>(global.values().size_bytes()));  // which came before
  EXPECT_NEAR(static_cast<double>(use.total()) / allocated, 1.0, 0.05)
      << use.total() << " counted, " << allocated << " allocated";
  // An executor that has not trained says the same.
  EXPECT_EQ(
      *resident::make_resident_executor(graph)->memory({.plan = &plan, .samples = source.size}),
      use);
}

constexpr MemorySpec kAllLevers{
    .micro_batch = 16, .relu_bits = true, .fused_pools = true, .saved_bits = 8, .freeze_first = 1};

INSTANTIATE_TEST_SUITE_P(
    Of, MemoryCountTest,
    ::testing::Values(MemoryCase{"lenet5", "lenet5", {1, 28, 28}, {}},
                      MemoryCase{"lenet5_adamw", "lenet5", {1, 28, 28}, {}, OptimizerKind::kAdamW},
                      MemoryCase{"lenet5_micro", "lenet5", {1, 28, 28}, {.micro_batch = 16}},
                      MemoryCase{"lenet5_bits", "lenet5", {1, 28, 28}, {.relu_bits = true}},
                      MemoryCase{"lenet5_codes", "lenet5", {1, 28, 28}, {.saved_bits = 8}},
                      MemoryCase{"lenet5_fused", "lenet5", {1, 28, 28}, {.fused_pools = true}},
                      MemoryCase{"lenet5_frozen", "lenet5", {1, 28, 28}, {.freeze_first = 2}},
                      MemoryCase{"lenet5_all", "lenet5", {1, 28, 28}, kAllLevers},
                      MemoryCase{"mlp", "mlp", {784}, {}},
                      MemoryCase{"mlp_all", "mlp", {784}, kAllLevers},
                      MemoryCase{"resnet20", "resnet20", {3, 16, 16}, {}},
                      MemoryCase{"resnet20_all", "resnet20", {3, 16, 16}, kAllLevers}),
    [](const auto& of) { return of.param.name; });

// What docs/training_memory.md says of LeNet-5.
TEST(MemoryCountTest, EveryLeverTakesItsShare) {
  const Graph graph = zoo_model("lenet5", {1, 28, 28});
  const auto executor = resident::make_resident_executor(graph);
  const auto use = [&](const MemorySpec& memory) {
    LocalPlan plan = plan_with(memory);
    plan.batch_size = 64;
    return *executor->memory({.plan = &plan, .samples = 6000});
  };
  const MemoryUse plain = use({});
  const MemoryUse bits = use({.relu_bits = true});
  const MemoryUse codes = use({.saved_bits = 8});
  const MemoryUse fused = use({.relu_bits = true, .fused_pools = true});
  const MemoryUse three = use({.relu_bits = true, .fused_pools = true, .saved_bits = 8});
  const MemoryUse both = use({.relu_bits = true, .saved_bits = 8});
  const std::int64_t lanes = kernels::lane_kernels().lanes;
  const MemoryUse micro = use({.micro_batch = lanes});
  const MemoryUse frozen = use({.freeze_first = 2});
  EXPECT_EQ(plain.weights, 4 * 44'426);
  EXPECT_EQ(plain.global_model, 4 * 44'426);
  EXPECT_EQ(plain.gradient, 4 * 44'426);
  EXPECT_EQ(plain.optimizer, 4 * 44'426);
  EXPECT_EQ(frozen.gradient, 4 * (44'426 - 2'572));
  EXPECT_EQ(frozen.optimizer, frozen.gradient);
  EXPECT_EQ(frozen.weights, plain.weights);
  EXPECT_LT(bits.activations, plain.activations / 2);
  EXPECT_LT(codes.activations, plain.activations);
  EXPECT_LT(both.activations, codes.activations);
  EXPECT_LT(fused.activations, bits.activations);
  EXPECT_LT(three.activations, fused.activations);
  EXPECT_LT(three.activations, plain.activations * 3 / 10);
  EXPECT_EQ(4 * micro.activations, plain.activations);
  EXPECT_LT(frozen.activations, plain.activations / 2);
  EXPECT_EQ(micro.samples - 6000 * 8, lanes * (4 * 784 + 4));
  EXPECT_EQ(plain.samples - 6000 * 8, 64 * (4 * 784 + 4));
}

}  // namespace
}  // namespace coppice
