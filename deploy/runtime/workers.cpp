#include "deploy/runtime/workers.h"

namespace coppice::runtime {
namespace {

// Some tens of microseconds: longer than most steps that are not divided, so that threads stay
// awake from one that is to the next, and short beside what a caller would notice.
constexpr int kSpins = 2000;
constexpr int kOver = -1;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `number` is not `old`, or now and then before.
void wait_for_change(const std::atomic<int>& number, int old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (number.load(std::memory_order_relaxed) != old) return;
    pause();
  }
  number.wait(old);
}

}  // namespace

Workers::Workers(std::int64_t threads) {
  // With fewer cores than threads, who spins keeps others from working.
  if (threads <= static_cast<std::int64_t>(std::thread::hardware_concurrency())) spins_ = kSpins;
  others_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (std::int64_t i = 1; i < threads; ++i) others_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    end();
    throw;
  }
}

Workers::~Workers() { end(); }

// To take a share is to lower `untaken_`. Nobody can take one of a run that is over, however long
// ago it read the number: what it would lower is the number of now.
void Workers::work_while_there_is(std::int64_t thread) {
  for (int left = untaken_.load(std::memory_order_relaxed); left > 0;) {
    if (!untaken_.compare_exchange_weak(left, left - 1)) continue;
    job_(work_, --left, thread);
    if (undone_.fetch_sub(1) == 1) undone_.notify_one();
  }
}

void Workers::serve(std::int64_t thread) {
  while (untaken_.load() != kOver) {
    work_while_there_is(thread);
    wait_for_change(untaken_, 0, spins_);
  }
}

void Workers::put(int shares) {
  untaken_.store(shares);
  untaken_.notify_all();
}

void Workers::run(Job job, const void* work, std::int64_t shares) {
  job_ = job;
  work_ = work;
  undone_.store(static_cast<int>(shares), std::memory_order_relaxed);
  put(static_cast<int>(shares));
  work_while_there_is(0);
  for (int left = undone_.load(); left != 0; left = undone_.load())
    wait_for_change(undone_, left, spins_);
}

void Workers::end() {
  put(kOver);
  for (std::thread& other : others_) other.join();
}

}  // namespace coppice::runtime
