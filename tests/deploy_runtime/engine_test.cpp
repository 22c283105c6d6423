#include "deploy/runtime/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "deploy/runtime/layout.h"
#include "tests/core/thrown.h"
#include "tests/deploy_runtime/programs.h"

// The sanitizer's allocator is not replaced.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

std::atomic<std::int64_t> allocations = 0;

}  // namespace

// Not inlined, so that the compiler sees a pair of new and delete where there is one.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace coppice::runtime {
namespace {

using Values = std::vector<float>;

Values sample_of(const Program& program, RandomStream& random) {
  Values sample(static_cast<std::size_t>(element_count(program.input.shape)));
  for (float& value : sample) value = 4.0F * random.next_uniform() - 2.0F;
  return sample;
}

Values run_engine(const Program& program, const kernels::IntegerKernels& kernels,
                  const Values& sample) {
  Engine engine(program, kernels);
  Values logits(static_cast<std::size_t>(engine.logit_count()));
  engine.run(sample, logits);
  Values again(logits.size());
  engine.run(sample, again);
  EXPECT_EQ(logits, again);
  return logits;
}

Grid random_grid(RandomStream& random) {
  return {0.01F + 0.05F * random.next_uniform(), static_cast<std::uint8_t>(random.next_below(256))};
}

std::int64_t between(std::int64_t low, std::int64_t high, RandomStream& random) {
  return low +
         static_cast<std::int64_t>(random.next_below(static_cast<std::uint64_t>(high - low + 1)));
}

// Convolutions of all kinds, pools, a joint or a sum, and matrices behind; sizes are odd where they
// like to be.
Program random_network(RandomStream& random, bool has_codes) {
  const auto grid = [&] { return has_codes ? std::optional(random_grid(random)) : std::nullopt; };
  const auto bits = [&] { return !has_codes ? 32 : random.next_below(3) == 0 ? 4 : 8; };
  ProgramBuilder build({between(1, 5, random), between(11, 17, random), between(11, 17, random)},
                       grid());
  for (int layer = 0; layer < 3; ++layer) {
    const bool is_last = layer == 2;
    Node node = convolution(between(1, 40, random), between(1, 3, random),
                            is_last ? 1 : between(1, 2, random));
    if (layer > 0 && random.next_below(4) == 0) {  // depthwise
      const Inference known = infer(build.program());
      node.out = known.shapes().back()[0];
      node.groups = node.out;
    }
    node.kernel[1] = between(1, 3, random);
    node.padding = {1, is_last ? 1 : between(0, 1, random)};
    const bool is_folded = random.next_below(2) == 0;
    if (!is_folded) node.grid = grid();
    build.add_product(node, bits(), random);
    if (is_folded) build.add(random.next_below(2) == 0 ? Op::relu : Op::relu6, grid());
  }
  const std::int32_t last = static_cast<std::int32_t>(build.program().nodes.size()) - 1;
  switch (random.next_below(5)) {
    case 0:
      build.add(pool(Op::max_pool2d, 2, 2));
      break;
    case 1: {
      Node average = pool(Op::avg_pool2d, 2, 1, 1);
      average.grid = grid();
      build.add(average);
      break;
    }
    case 2:
      build.add(Op::concat, grid(), {last, last});
      break;
    case 3:
      build.add(Op::add, grid(), {last, last});
      break;
    default:
      break;
  }
  build.add(random.next_below(2) == 0 ? Op::flatten : Op::global_avg_pool, std::nullopt);
  if (build.program().nodes.back().op == Op::global_avg_pool) build.add(Op::relu, grid());
  build.add_product(on(linear(between(1, 70, random)), grid()), bits(), random);
  build.add_product(linear(between(1, 11, random)), bits(), random);
  return build.take();
}

TEST(EngineTest, IntegersAreTheInterpretersOnEveryInstructionSet) {
  for (const kernels::IntegerKernels* kernels : kernels::all_integer_kernels()) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      RandomStream random({.seed = seed});
      const Program program = random_network(random, true);
      const Values sample = sample_of(program, random);
      ASSERT_EQ(run_engine(program, *kernels, sample), outputs(program, sample))
          << kernels->isa << ", seed " << seed;
      EXPECT_EQ(Engine(program, *kernels).isa(), kernels->isa);
    }
  }
}

TEST(EngineTest, BlocksAreTheInterpretersOnEveryInstructionSet) {
  for (const kernels::IntegerKernels* kernels : kernels::all_integer_kernels()) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      RandomStream random({.seed = seed, .task = 1});
      const Program rows = with_empty_blocks(random_network(random, true), random);
      const Program blocks = in_blocks(rows);
      const Values sample = sample_of(rows, random);
      const Values expected = outputs(rows, sample);
      ASSERT_EQ(outputs(blocks, sample), expected) << seed;
      ASSERT_EQ(run_engine(blocks, *kernels, sample), expected)
          << kernels->isa << ", seed " << seed;
    }
  }
}

TEST(EngineTest, EveryNumberOfThreadsGivesTheSameBits) {
  for (const bool has_codes : {true, false}) {
    for (const bool is_sparse : {true, false}) {
      for (std::uint64_t seed = 0; seed < 60; ++seed) {
        RandomStream random({.seed = seed, .task = 2});
        Program program = random_network(random, has_codes);
        if (is_sparse) program = in_blocks(with_empty_blocks(std::move(program), random));
        const Values sample = sample_of(program, random);
        Engine engine(program);
        Values alone(static_cast<std::size_t>(engine.logit_count()));
        engine.run(sample, alone);
        for (const std::int64_t threads : {2, 3}) {
          engine.set_threads(threads, 0);
          ASSERT_EQ(engine.threads(), threads);
          Values logits(alone.size());
          for (int again = 0; again < 3; ++again) {
            std::ranges::fill(logits, -1.0F);
            engine.run(sample, logits);
            ASSERT_EQ(logits, alone) << "seed " << seed << ", threads " << threads;
          }
        }
      }
    }
  }
}

TEST(EngineTest, SeveralVectorsAreDivided) {
  for (const std::optional<Grid> grid : {std::optional(Grid{0.02F, 100}), std::optional<Grid>()}) {
    RandomStream random({.seed = 13});
    ProgramBuilder build({7, 12}, grid);
    build.add_product(on(linear(37), grid), grid ? 8 : 32, random);
    build.add_product(linear(5), grid ? 8 : 32, random);
    const Program program = build.take();
    const Values sample = sample_of(program, random);
    Engine engine(program);
    ASSERT_NE(engine.isa(), "reference");
    Values alone(static_cast<std::size_t>(engine.logit_count()));
    engine.run(sample, alone);
    Values divided(alone.size());
    engine.set_threads(3, 0);
    engine.run(sample, divided);
    EXPECT_EQ(divided, alone);
    if (grid) {
      EXPECT_EQ(alone, outputs(program, sample));
    }
  }
}

TEST(EngineTest, ThreadsAreOfOneEngineAndOfACopy) {
  RandomStream random({.seed = 12});
  const Program program = random_network(random, true);
  const Values sample = sample_of(program, random);
  const Values expected = outputs(program, sample);
  Engine first(program);
  first.set_threads(2, 0);
  Engine second = first;
  EXPECT_EQ(second.threads(), 2);
  first.set_threads(1, 0);
  EXPECT_EQ(first.threads(), 1);
  Engine third = std::move(second);
  for (Engine* engine : {&first, &third}) {
    Values logits(expected.size());
    engine->run(sample, logits);
    EXPECT_EQ(logits, expected);
  }
  EXPECT_NE(model_error([&] { first.set_threads(0); }), "");
  EXPECT_NE(model_error([&] { first.set_threads(kMaxThreads + 1); }), "");
}

TEST(EngineTest, ACopyHasTheSameOutputsAndItsOwnArena) {
  RandomStream random({.seed = 11});
  const Program program = random_network(random, true);
  const Values sample = sample_of(program, random);
  const Values other = sample_of(program, random);
  Engine first(program);
  Engine second = first;
  Values of_first(static_cast<std::size_t>(first.logit_count()));
  Values of_second(of_first.size());
  first.run(sample, of_first);
  second.run(other, of_second);
  EXPECT_EQ(of_first, outputs(program, sample));
  EXPECT_EQ(of_second, outputs(program, other));
  first = second;
  first.run(sample, of_second);
  EXPECT_EQ(of_second, of_first);
}

TEST(EngineTest, ValuesAreTheInterpretersUpToTheOrderOfSums) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    RandomStream random({.seed = seed});
    const Program program = random_network(random, false);
    const Values sample = sample_of(program, random);
    const Values expected = outputs(program, sample);
    const Values logits = run_engine(program, chosen_kernels(), sample);
    float largest = 0.0F;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < logits.size(); ++i)
      ASSERT_NEAR(logits[i], expected[i], 1e-5F * largest) << seed;
  }
}

TEST(EngineTest, NormsAndScalesOfImages) {
  for (const Op op : {Op::group_norm, Op::batch_norm}) {
    RandomStream random({.seed = 5});
    ProgramBuilder build({3, 5, 4}, Grid{0.02F, 100});
    const auto image = build.add_product(convolution(6, 3), 8, random);
    Node norm;
    norm.op = op;
    norm.group_size = 3;
    norm.epsilon = 1e-5F;
    for (int i = 0; i < (op == Op::group_norm ? 12 : 24); ++i)
      norm.norm.push_back(0.5F + random.next_uniform());
    const auto normed = build.add(norm);
    const auto factors = build.add(Op::global_avg_pool, std::nullopt, {image});
    build.add(Op::channel_scale, std::nullopt, {normed, factors});
    const Program program = build.take();
    const Values sample = sample_of(program, random);
    const Values expected = outputs(program, sample);
    const Values logits = run_engine(program, chosen_kernels(), sample);
    ASSERT_EQ(logits.size(), expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      EXPECT_NEAR(logits[i], expected[i], 1e-4F * std::max(1.0F, std::abs(expected[i])));
  }
}

TEST(EngineTest, PoolsOfAllKindsAreTheInterpreters) {
  for (const Op op : {Op::max_pool2d, Op::avg_pool2d}) {
    for (const bool has_codes : {true, false}) {
      for (const auto& [kernel, stride, padding] :
           {std::array{2, 2, 0}, {3, 2, 1}, {3, 1, 1}, {5, 3, 2}, {1, 2, 0}, {4, 4, 2}}) {
        const std::optional<Grid> grid = has_codes ? std::optional(Grid{0.02F, 100}) : std::nullopt;
        ProgramBuilder build({7, 9, 11}, grid);
        Node node = pool(op, kernel, stride, padding);
        if (op == Op::avg_pool2d) node.grid = grid;
        build.add(node);
        const Program program = build.take();
        RandomStream random({.seed = 9});
        Values sample = sample_of(program, random);
        for (float& value : sample) value -= 2.0F;  // padding is not the largest by chance
        EXPECT_EQ(run_engine(program, chosen_kernels(), sample), outputs(program, sample))
            << kernel << ' ' << stride << ' ' << padding;
      }
    }
  }
}

TEST(EngineTest, AnImageAsOutputHasTheOrderOfItsShape) {
  RandomStream random({.seed = 6});
  ProgramBuilder build({2, 5, 4}, Grid{0.02F, 100});
  build.add_product(convolution(3, 2), 8, random);
  const Program program = build.take();
  const Values sample = sample_of(program, random);
  EXPECT_EQ(run_engine(program, chosen_kernels(), sample), outputs(program, sample));
}

TEST(EngineTest, WhereTheOrderOfAVectorMattersTheInterpreterRuns) {
  ProgramBuilder build({2, 3, 3}, Grid{0.02F, 100});
  build.add(Op::flatten);
  Node cut;
  cut.op = Op::slice;
  cut.begin = 5;
  cut.length = 7;
  build.add(cut);
  const Program program = build.take();
  Engine engine(program);
  EXPECT_EQ(engine.isa(), "reference");
  RandomStream random({.seed = 7});
  const Values sample = sample_of(program, random);
  EXPECT_EQ(run_engine(program, chosen_kernels(), sample), outputs(program, sample));
}

TEST(EngineTest, PaddingThatWouldTakeGigabytesTakesNone) {
  RandomStream random({.seed = 10});
  ProgramBuilder convolved({3, 2, 2}, Grid{0.02F, 100});
  convolved.add_product(convolution(2, 1, 65535, 65535), 8, random);
  ProgramBuilder pooled({70'000, 1, 1}, Grid{0.02F, 100});
  pooled.add(pool(Op::max_pool2d, 65535, 65535, 32767));
  for (const Program& program : {convolved.take(), pooled.take()}) {
    Engine engine(program);
    EXPECT_EQ(engine.isa(), "reference");
    EXPECT_LT(engine.peak_activation_bytes(), 1 << 20);
    const Values sample = sample_of(program, random);
    EXPECT_EQ(run_engine(program, chosen_kernels(), sample), outputs(program, sample));
  }
}

TEST(EngineTest, RunningAllocatesNothing) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator does not count";
#else
  RandomStream random({.seed = 8});
  ProgramBuilder joined({64, 28, 28}, Grid{0.05F, 100});  // the two are computed together
  joined.add_product(on(convolution(64, 3, 1, 1, 64), Grid{0.05F, 90}), 8, random);
  joined.add_product(on(convolution(64, 1), Grid{0.05F, 80}), 8, random);
  for (const Program& program : {random_network(random, true), joined.take()}) {
    const Values sample = sample_of(program, random);
    Engine engine(program);
    Values logits(static_cast<std::size_t>(engine.logit_count()));
    const std::int64_t before = allocations;
    engine.run(sample, logits);
    EXPECT_EQ(allocations, before);
    engine.set_threads(2, 0);
    const std::int64_t with_threads = allocations;
    for (int i = 0; i < 10; ++i) engine.run(sample, logits);
    EXPECT_EQ(allocations, with_threads);
  }
#endif
}

TEST(EngineTest, AskingForAnotherInstructionSetNamesThoseThereAre) {
  const char* asked = std::getenv("COPPICE_ISA");
  const std::string before = asked == nullptr ? "" : asked;
  setenv("COPPICE_ISA", "baseline", 1);
  EXPECT_STREQ(chosen_kernels().isa, "baseline");
  setenv("COPPICE_ISA", "sse9", 1);
  const std::string message = model_error([] { chosen_kernels(); });
  EXPECT_NE(message.find("baseline"), std::string::npos) << message;
  EXPECT_NE(message.find("sse9"), std::string::npos) << message;
  setenv("COPPICE_ISA", "", 1);
  EXPECT_EQ(&chosen_kernels(), kernels::all_integer_kernels().front());
  setenv("COPPICE_ISA", before.c_str(), 1);
}

TEST(EngineTest, SamplesAndLogitsOfAnotherSizeAreRefused) {
  ProgramBuilder build({3});
  build.add(Op::relu);
  Engine engine(build.take());
  Values three(3);
  Values two(2);
  EXPECT_NE(model_error([&] { engine.run(two, three); }), "");
  EXPECT_NE(model_error([&] { engine.run(three, two); }), "");
  EXPECT_NE(model_error([&] { engine.profile(two, 1); }), "");
  EXPECT_EQ(engine.profile(three, 3).size(), 2U);
}

}  // namespace
}  // namespace coppice::runtime
