#pragma once
// SIGINT and SIGTERM as a call, for commands that run until they are told to end. Made before other
// threads are: they inherit that the signals are blocked, and so none of them is interrupted.

#include <signal.h>

#include <functional>  // for function
#include <thread>      // for jthread

namespace coppice {

// While it lives. The signals stay blocked afterwards: a second one does not end the process.
class StopOnSignal {
 public:
  // `stop` is called on a thread of its own, at most once.
  explicit StopOnSignal(std::function<void()> stop);
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

 private:
  sigset_t signals_{};
  std::jthread waiter_;
};

}  // namespace coppice
