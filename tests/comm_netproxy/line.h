#pragma once
// A proxy on a thread of its own with a device's and a coordinator's socket on either side, over
// the loopback interface. Everything has a limit in time and nothing sleeps.

#include <boost/asio.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "comm/netproxy/net_proxy.h"

namespace coppice::netproxy {

using Bytes = std::vector<std::uint8_t>;

// Random bytes; other numbers, other bytes.
Bytes bytes_of(std::size_t size, std::int64_t number = 0);

class Line {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  static constexpr std::chrono::seconds kPatience{20};

  explicit Line(const Scenario& scenario, std::uint64_t seed = 1);
  ~Line();

  void connect();                                            // a device, to the proxy
  bool accept(std::chrono::nanoseconds within = kPatience);  // its connection, as a coordinator
  void open() { connect(), accept(); }
  void stop_listening() { acceptor_.close(); }

  Socket& device() { return *device_; }
  Socket& coordinator() { return *coordinator_; }

  // Is written while others are waited for.
  void send(Socket& socket, const Bytes& bytes);
  std::size_t sent() const { return sent_; }  // bytes that the kernel has taken

  struct Received {
    Bytes bytes;
    bool has_ended = false;  // there is no more, in an orderly way or not
    bool is_reset = false;
  };
  // `size` bytes, or what came before the end or the limit.
  Received receive(Socket& socket, std::size_t size, std::chrono::nanoseconds within = kPatience);

  // Since just before the proxy began.
  std::chrono::nanoseconds elapsed() const;

  // Ends the proxy.
  NetProxyCounters counters();

 private:
  void write_some(Socket& socket, const std::shared_ptr<const Bytes>& bytes, std::size_t from);

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::optional<Socket> device_;
  std::optional<Socket> coordinator_;
  std::size_t sent_ = 0;
  std::unique_ptr<NetProxy> proxy_;
  std::chrono::steady_clock::time_point start_;
  std::thread thread_;
};

}  // namespace coppice::netproxy
