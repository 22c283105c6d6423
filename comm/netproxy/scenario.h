#pragma once
// What `coppice netproxy` does to connections: the conditions of a link in each direction, faults
// that reach the endpoints, and times at which nothing passes. Pure values, read from a small YAML
// file whose bytes are not trusted; any thread may use them.

#include <cstddef>      // for size_t
#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <optional>     // for optional
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice::netproxy {

enum class Direction : std::uint8_t {
  kUp,    // from who connects (devices) to where the proxy connects to (the coordinator)
  kDown,  // back
};

// One direction of every connection. Probabilities are of one segment: at most kSegmentBytes, as
// they were read. docs/netproxy.md says how each is modelled.
struct LinkConditions {
  // What TCP hides: the stream's bytes are the same, and late.
  double latency_ms = 0.0;
  double jitter_ms = 0.0;                     // uniform, +- around the latency, at most that
  double loss = 0.0;                          // of one transmission
  double duplicate = 0.0;                     // the segment's bytes pass the link twice
  double reorder = 0.0;                       // the segment is overtaken, and others wait for it
  std::optional<double> bandwidth_kbps = {};  // 1,000 bits a second, for each connection
  double stall = 0.0;                         // the link stands still for stall_ms
  double stall_ms = 0.0;
  // What the endpoints see.
  double bit_flip = 0.0;  // one bit of the segment
  double truncate = 0.0;  // the rest of the stream is dropped and the connection closed
  double cut = 0.0;       // the connection is reset
  std::optional<std::int64_t> cut_after_bytes = {};  // likewise, once so many bytes have passed

  friend bool operator==(const LinkConditions&, const LinkConditions&) = default;
};

// From from_s after the proxy's start, for for_s, nothing passes.
struct Partition {
  enum class Stops : std::uint8_t { kBoth, kUp, kDown };
  // What becomes of connections that are opened meanwhile. One direction is enough to keep a
  // handshake of TCP from succeeding.
  enum class Connect : std::uint8_t { kHang, kRefuse };

  double from_s = 0.0;
  double for_s = 0.0;
  Stops stops = Stops::kBoth;
  Connect connect = Connect::kHang;

  friend bool operator==(const Partition&, const Partition&) = default;
};

inline constexpr std::size_t kSegmentBytes = 1448;  // of an Ethernet frame with TCP's timestamps

struct Scenario {
  LinkConditions up = {};
  LinkConditions down = {};
  std::vector<Partition> partitions = {};
  // Of each direction of each connection: the memory of what is under way, at most (its bytes, and
  // some 48 a segment). As a window does, it bounds the throughput to queue_bytes in the time of
  // one way.
  std::int64_t queue_bytes = std::int64_t{256} << 10U;

  friend bool operator==(const Scenario&, const Scenario&) = default;
};

// The scenario in `yaml`; `name` stands for it in messages. Throws ConfigError, "name:line:column:
// key: expected ..., got ...", for anything that is not one.
Scenario parse_scenario(std::string_view yaml, std::string_view name);

// Likewise of a file.
Scenario load_scenario(const std::filesystem::path& path);

}  // namespace coppice::netproxy
