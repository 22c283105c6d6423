#include "comm/gateway/io_thread.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>

#include "core/error.h"
#include "core/text.h"

namespace coppice::gateway {
namespace {

// Signals of this thread, and of those it starts, while it lives: a thread inherits what is
// blocked.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all{};
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

IoThread::IoThread() : io_(1), work_(io_.get_executor()) {}

IoThread::~IoThread() { stop(); }

void IoThread::start(std::function<void(std::exception_ptr)> failed) {
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this, failed = std::move(failed)] {
      try {
        io_.run();
      } catch (...) {
        failed(std::current_exception());
      }
    });
  } catch (const std::system_error& error) {
    throw CommError(text("cannot start a thread for connections: ", error.what()));
  }
}

void IoThread::stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace coppice::gateway
