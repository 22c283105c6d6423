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
  using Job = void (*)(const void* work, std::int64_t share, std::int64_t thread);

  // Starts all but the first. Throws std::system_error if the system has no thread to give.
  explicit Workers(std::int64_t threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  std::int64_t threads() const { return static_cast<std::int64_t>(others_.size()) + 1; }

  // job(work, share, thread) once for every share in [0, shares), each by whoever is free: a thread
  // in [0, threads()), of which this is 0. Returns when all are done. A thread that the system
  // holds back delays nobody but by a share that it has begun. What was written before is seen by
  // every share, and what they write by the caller. The job does not throw; at least one share.
  void run(Job job, const void* work, std::int64_t shares);

 private:
  void serve(std::int64_t thread);
  void work_while_there_is(std::int64_t thread);
  void put(int shares);
  void end();

  std::vector<std::thread> others_;
  int spins_ = 0;  // looks at a number before a thread sleeps on it
  // Written by run() while no share is taken, read by who has taken one.
  Job job_ = nullptr;
  const void* work_ = nullptr;
  alignas(64) std::atomic<int> untaken_ = 0;  // shares; kOver at the end
  alignas(64) std::atomic<int> undone_ = 0;
};

}  // namespace coppice::runtime
