#include "deploy/runtime/workers.h"

namespace coppice::runtime {
namespace {

// Some tens of microseconds: longer than most steps that are not divided, so that threads stay
// awake from one that is to the next, and short beside what a caller would notice.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The first value of `word` that is not `old`.
int changed(const std::atomic<int>& word, int old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (const int now = word.load(std::memory_order_acquire); now != old) return now;
    pause();
  }
  word.wait(old);
  return word.load(std::memory_order_acquire);
}

}  // namespace

Workers::Workers(std::int64_t threads) {
  // With fewer cores than threads, who spins keeps others from working.
  if (threads <= static_cast<std::int64_t>(std::thread::hardware_concurrency())) spins_ = kSpins;
  others_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (std::int64_t share = 1; share < threads; ++share)
      others_.emplace_back([this, share] { serve(share); });
  } catch (...) {
    end();
    throw;
  }
}

Workers::~Workers() { end(); }

void Workers::serve(std::int64_t share) {
  for (int seen = 0;;) {
    seen = changed(turn_, seen, spins_);
    if (job_ == nullptr) return;
    job_(work_, share);
    if (left_.fetch_sub(1) == 1) left_.notify_one();
  }
}

void Workers::wake() {
  turn_.fetch_add(1);
  turn_.notify_all();
}

void Workers::run(Job job, const void* work) {
  job_ = job;
  work_ = work;
  int left = static_cast<int>(others_.size());
  left_.store(left, std::memory_order_relaxed);
  wake();
  job(work, 0);
  while (left != 0) left = changed(left_, left, spins_);
}

void Workers::end() {
  job_ = nullptr;
  wake();
  for (std::thread& other : others_) other.join();
}

}  // namespace coppice::runtime
