// What several threads may do with the runtime at the same time; the thread sanitizer runs these
// (`launch/test tsan`).

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "deploy/runtime/coppice_runtime.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/workers.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

constexpr int kRuns = 60;

// Convolutions dense, in blocks and depthwise, a pool, a norm and matrices, large enough to be
// divided.
Program all_kinds() {
  RandomStream random({.seed = 3});
  const Grid grid{0.05F, 100};
  ProgramBuilder build({3, 20, 20}, grid);
  build.add_product(on(convolution(20, 3, 1, 1), grid), 8, random);
  build.add_product(on(convolution(20, 3, 1, 1, 20), grid), 8, random);
  build.add_product(on(convolution(24, 1), grid), 4, random);
  build.add(on(group_norm(6, 24), grid));
  build.add(pool(Op::max_pool2d, 2, 2));
  build.add(Op::flatten);
  build.add_product(on(linear(70), grid), 8, random);
  build.add_product(linear(11), 32, random);
  return build.take();
}

std::vector<float> run(Engine& engine, const std::vector<float>& sample) {
  std::vector<float> logits(static_cast<std::size_t>(engine.logit_count()));
  engine.run(sample, logits);
  return logits;
}

TEST(ThreadsTest, SessionsOfOneModelRunAtTheSameTime) {
  const std::vector<std::uint8_t> file = write_cpk(in_panels(all_kinds()));
  CoppiceModel* model = nullptr;
  ASSERT_EQ(coppice_model_from_memory(file.data(), file.size(), &model), kCoppiceOk);
  const std::vector<float> sample = random_sample(1200, 1);
  Engine alone(all_kinds());
  const std::vector<float> expected = run(alone, sample);
  std::atomic<int> wrong = 0;
  const auto act = [&](int threads) {
    CoppiceSession* session = nullptr;
    if (coppice_session_create(model, threads, &session) != kCoppiceOk) {
      ++wrong;
      return;
    }
    std::vector<float> logits(expected.size());
    for (int i = 0; i < kRuns; ++i) {
      const CoppiceStatus status =
          coppice_session_run(session, sample.data(), sample.size(), logits.data(), logits.size());
      if (status != kCoppiceOk || logits != expected) ++wrong;
      if (coppice_session_run(session, nullptr, 0, nullptr, 0) != kCoppiceWrongUse) ++wrong;
    }
    coppice_session_destroy(session);
  };
  std::thread first(act, 1);
  std::thread second(act, 2);
  first.join();
  second.join();
  EXPECT_EQ(wrong, 0);
  coppice_model_destroy(model);
}

TEST(ThreadsTest, TheLastErrorIsOfItsThread) {
  CoppiceModel* model = nullptr;
  ASSERT_EQ(coppice_model_open(nullptr, &model), kCoppiceWrongUse);
  std::thread([] { EXPECT_STREQ(coppice_last_error(), ""); }).join();
  EXPECT_STRNE(coppice_last_error(), "");
}

TEST(ThreadsTest, EveryStepMayBeDivided) {
  RandomStream random({.seed = 4});
  for (const Program& program : {all_kinds(), in_blocks(with_empty_blocks(all_kinds(), random))}) {
    const std::vector<float> sample = random_sample(1200, 2);
    Engine engine(program);
    const std::vector<float> expected = run(engine, sample);
    for (const std::int64_t threads : {2, 3, 5}) {
      engine.set_threads(threads, 0);
      for (int i = 0; i < kRuns; ++i) ASSERT_EQ(run(engine, sample), expected) << threads;
    }
  }
}

TEST(ThreadsTest, EveryShareIsDoneOnceAndSeenByTheCaller) {
  Workers workers(4);
  struct Count {
    int times[7] = {};
  } count;
  for (int i = 1; i <= 2000; ++i) {
    workers.run(
        [](const void* work, std::int64_t share, std::int64_t thread) {
          EXPECT_TRUE(thread >= 0 && thread < 4);
          ++const_cast<Count*>(static_cast<const Count*>(work))->times[share];
        },
        &count, 7);
    for (const int times : count.times) ASSERT_EQ(times, i);
  }
}

TEST(ThreadsTest, WorkersThatSleepAreWokenAndEnd) {
  for (int i = 0; i < 5; ++i) {
    Workers workers(3);
    std::atomic<int> done = 0;
    for (int run = 0; run < 3; ++run) {
      // Long enough for those that look for work to fall asleep.
      const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
      while (std::chrono::steady_clock::now() < until) {
      }
      workers.run(
          [](const void* work, std::int64_t, std::int64_t) {
            ++*const_cast<std::atomic<int>*>(static_cast<const std::atomic<int>*>(work));
          },
          &done, 5);
      ASSERT_EQ(done, 5 * (run + 1));
    }
  }
  Workers idle(3);
  EXPECT_EQ(idle.threads(), 3);
}

}  // namespace
}  // namespace coppice::runtime
