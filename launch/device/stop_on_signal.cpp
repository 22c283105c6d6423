#include "launch/device/stop_on_signal.h"

#include <utility>  // for move

namespace coppice {

StopOnSignal::StopOnSignal(std::function<void()> stop) {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  waiter_ = std::jthread([this, stop = std::move(stop)] {
    int signal = 0;
    sigwait(&signals_, &signal);
    if (signal != SIGUSR1) stop();
  });
}

// SIGUSR1 ends the thread; one from outside does as well, and then signals are not heard.
StopOnSignal::~StopOnSignal() { pthread_kill(waiter_.native_handle(), SIGUSR1); }

}  // namespace coppice
