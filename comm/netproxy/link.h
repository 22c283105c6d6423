#pragma once
// What happens to a segment on its way, and when it is the receiver's: the model of a link, without
// sockets and without a clock. Private to comm/netproxy and its tests. Pure but for LinkSchedule's
// state, which belongs to one direction of one connection.

#include <chrono>    // for nanoseconds
#include <cstdint>   // for uint64_t
#include <optional>  // for optional
#include <vector>    // for vector

#include "comm/netproxy/scenario.h"

namespace coppice::netproxy {

using Time = std::chrono::nanoseconds;  // since the proxy's start

// Which segment of which stream.
struct SegmentKey {
  std::uint64_t seed = 0;
  std::int64_t connection = 0;  // in the order in which they came, from 0
  Direction direction = Direction::kUp;
  std::int64_t segment = 0;  // of the stream, from 0
};

inline constexpr int kMaxLosses = 6;  // of one segment; the seventh transmission arrives

struct SegmentFate {
  double jitter = 0.0;  // in [-1, 1), of jitter_ms
  int losses = 0;       // transmissions before the one that arrives
  bool is_duplicated = false;
  bool is_reordered = false;
  bool is_stalled = false;
  bool is_truncated = false;
  bool is_cut = false;
  std::optional<double> flip = {};  // in [0, 1): where the bit is that flips, as a share of the
                                    // segment

  friend bool operator==(const SegmentFate&, const SegmentFate&) = default;
};

// A function of its arguments. Whether something happens at one probability does not depend on the
// others, and what happens at one probability happens at every larger one.
SegmentFate fate_of(const SegmentKey& key, const LinkConditions& conditions);

// A time at which nothing arrives in one direction.
struct Outage {
  Time from;
  Time to;
};
// Those of the partitions that stop `direction`, by their beginnings.
std::vector<Outage> outages_of(const Scenario& scenario, Direction direction);

// How long a sender waits for an acknowledgement before it sends a segment again, the first time;
// each further time twice as long. As RFC 6298 with Linux's minimum: max(200 ms, 2 * latency).
Time retransmission_timeout(const LinkConditions& conditions);

// How much later a reordered segment arrives than it would: max(1 ms, latency / 2).
Time reordering_delay(const LinkConditions& conditions);

// Bytes that pass the link for a segment, beyond its own: retransmissions and duplicates. A
// reordered segment is sent once more, as its sender takes it for lost.
std::size_t extra_bytes(std::size_t bytes, const SegmentFate& fate);

// Arrival times in one direction of one connection.
class LinkSchedule {
 public:
  LinkSchedule(const LinkConditions& conditions, std::vector<Outage> outages);

  // When `bytes` that are sent at `now` are the receiver's: never before what was sent earlier.
  Time arrival(Time now, std::size_t bytes, const SegmentFate& fate);

  // When something without bytes arrives, beside the stream (TCP's handshake).
  Time crossing(Time now) const;

 private:
  Time after_outages(Time at) const;

  LinkConditions conditions_;
  std::vector<Outage> outages_;
  Time link_free_{};     // when the bandwidth is nobody's
  Time last_arrival_{};  // what is behind waits for it
};

}  // namespace coppice::netproxy
