#pragma once
// The threads that divide the steps of one engine: started once, and woken for a step without a
// lock or an allocation. Internal.

#include <atomic>   // for atomic
#include <cstdint>  // for int64_t
#include <thread>   // for thread
#include <vector>   // for vector

namespace coppice::runtime {

// Belongs to one thread at a time, which is the first of those that work.
class Workers {
 public:
  using Job = void (*)(const void* work, std::int64_t share);

  // Starts all but the first. Throws std::system_error if the system has no thread to give.
  explicit Workers(std::int64_t threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  std::int64_t threads() const { return static_cast<std::int64_t>(others_.size()) + 1; }

  // job(work, share) for every share in [0, threads()), share 0 on this thread; returns when all
  // are done. What was written before is seen by every share, and what they write by the caller.
  // The job does not throw.
  void run(Job job, const void* work);

 private:
  void serve(std::int64_t share);
  void wake();
  void end();

  std::vector<std::thread> others_;
  int spins_ = 0;          // looks at a word before a thread sleeps on it
  Job job_ = nullptr;      // null: end; written by run() while nobody works
  const void* work_ = nullptr;
  // A line each: one is written by the first thread and the other by the others.
  alignas(64) std::atomic<int> turn_ = 0;  // runs so far
  alignas(64) std::atomic<int> left_ = 0;  // shares of this run that are not done
};

}  // namespace coppice::runtime
