#pragma once
// A proxy for TCP that stands between devices and their coordinator and behaves like a bad network:
// late, narrow, lossy, broken, partitioned, as a Scenario says. It knows bytes, and nothing of what
// they mean. Every decision is a function of (seed, connection, direction, segment), so a seed
// makes the same faults again; which bytes they meet also depends on how the kernel hands bytes
// over, and when on the clock.
//
// One thread calls run(); stop() may come from any. Throws ConfigError where it cannot listen or
// the other side's name is unknown.

#include <cstdint>  // for uint16_t
#include <memory>   // for unique_ptr
#include <string>   // for string

#include "comm/netproxy/scenario.h"

namespace coppice::netproxy {

struct NetProxyOptions {
  std::string address = "127.0.0.1";  // to listen on, as a number
  std::uint16_t port = 0;             // 0: the kernel picks one
  std::string to_host;                // a name or a number, looked up once
  std::uint16_t to_port = 0;
  std::uint64_t seed = 1;
  std::int64_t max_connections = 4096;  // more wait in the kernel's backlog
};

// Of one direction, over all connections. A segment may be counted in several places.
struct LinkCounters {
  std::int64_t bytes = 0;        // that reached their receiver
  std::int64_t extra_bytes = 0;  // that the link carried beyond those that were sent
  std::int64_t segments = 0;     // that were read
  std::int64_t delayed = 0;      // segments that were not the receiver's at once
  std::int64_t lost = 0;         // transmissions
  std::int64_t duplicated = 0;
  std::int64_t reordered = 0;
  std::int64_t stalled = 0;
  std::int64_t flipped = 0;          // segments, and so bits
  std::int64_t peak_held_bytes = 0;  // the most that one connection held
};

struct NetProxyCounters {
  std::int64_t connections = 0;  // that came, refused ones among them
  std::int64_t refused = 0;      // in a partition, or because nobody listens on the other side
  std::int64_t truncated = 0;    // connections
  std::int64_t cut = 0;
  LinkCounters up;
  LinkCounters down;
};

class NetProxy {
 public:
  NetProxy(const NetProxyOptions& options, const Scenario& scenario);
  ~NetProxy();  // not while run() is under way
  NetProxy(const NetProxy&) = delete;
  NetProxy& operator=(const NetProxy&) = delete;

  std::uint16_t port() const;

  // Forwards until stop(); partitions count from its beginning. Once. Connections that are open
  // then are closed with the proxy.
  void run();
  void stop();

  // Before and after run().
  const NetProxyCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One line: "5 connections (0 refused), ...".
std::string counters_text(const NetProxyCounters& counters);

}  // namespace coppice::netproxy
