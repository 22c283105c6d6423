#pragma once
// One thread that runs one io_context, with the signals of the process left to other threads.
// Private to comm/gateway. What a handler throws ends the thread and is kept for its owner.

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>   // for exception_ptr
#include <functional>  // for function
#include <thread>      // for thread

namespace coppice::gateway {

class IoThread {
 public:
  IoThread();
  ~IoThread();  // stop()
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& io() { return io_; }

  // Begins; `failed` is called on the thread, last, if a handler threw. Throws CommError if the
  // system has no thread.
  void start(std::function<void(std::exception_ptr)> failed);

  // Handlers that have not run never will. Waits for the one that runs. Not from a handler.
  void stop();

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace coppice::gateway
