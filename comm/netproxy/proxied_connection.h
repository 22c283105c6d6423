#pragma once
// One connection through the proxy: two sockets, and a link in each direction that holds what is
// under way. Private to comm/netproxy; everything on the io thread. Lives as long as a handler of
// it is pending; its Network outlives it.

#include <array>  // for array
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>     // for int64_t
#include <deque>       // for deque
#include <functional>  // for function
#include <memory>      // for enable_shared_from_this
#include <vector>      // for vector

#include "comm/netproxy/link.h"
#include "comm/netproxy/net_proxy.h"

namespace coppice::netproxy {

using SteadyTime = std::chrono::steady_clock::time_point;

// What the connections of a proxy share.
struct Network {
  Scenario scenario;
  std::uint64_t seed = 0;
  SteadyTime start;
  boost::asio::ip::tcp::resolver::results_type to;
  NetProxyCounters counters;

  Time now() const { return std::chrono::steady_clock::now() - start; }
};

class ProxiedConnection : public std::enable_shared_from_this<ProxiedConnection> {
 public:
  // `number`: how many came before it.
  ProxiedConnection(boost::asio::ip::tcp::socket from, Network& network, std::int64_t number);

  // `closed` is called once, when both sockets are closed.
  void start(std::function<void()> closed);

 private:
  using Socket = boost::asio::ip::tcp::socket;

  // Something on its way; it arrives in the order in which it was sent.
  struct Parcel {
    enum class What : std::uint8_t {
      kBytes,
      kEnd,    // the sender sends no more
      kClose,  // both ends see the connection closed
      kReset,  // both ends see it broken
    };
    What what = What::kBytes;
    Time due{};
    std::vector<std::uint8_t> bytes = {};

    std::int64_t held_bytes() const {
      return bytes.empty() ? 0 : static_cast<std::int64_t>(bytes.size() + sizeof(Parcel));
    }
  };

  struct Link {
    Link(Direction the_direction, const LinkConditions& the_conditions, LinkCounters& the_counters,
         Socket& the_source, Socket& the_sink, const Scenario& scenario);

    Direction direction;
    const LinkConditions& conditions;
    LinkCounters& counters;
    Socket& source;
    Socket& sink;
    LinkSchedule schedule;
    boost::asio::steady_timer timer;
    std::deque<Parcel> parcels;
    std::int64_t held_bytes = 0;  // of the parcels
    std::int64_t segments = 0;
    std::int64_t bytes = 0;                          // that were read
    std::array<std::uint8_t, kSegmentBytes> buffer;  // of the read that is under way
    bool is_reading = false;
    bool is_delivering = false;  // waits for its first parcel's time, or writes it
    bool has_source_ended = false;
    bool has_ended = false;  // its end was delivered
  };

  void open();
  void opened(const boost::system::error_code& error);
  void read(Link& link);
  void took(Link& link, std::size_t size);
  bool breaks(Link& link, std::vector<std::uint8_t>& bytes, const SegmentFate& fate);
  void flip(Link& link, std::vector<std::uint8_t>& bytes, const SegmentFate& fate);
  void end_source(Link& link, Parcel::What what);
  void send(Link& link, Parcel parcel, const SegmentFate& fate);
  void deliver(Link& link);
  void deliver_first(Link& link);
  void delivered(Link& link, const boost::system::error_code& error);
  void close(bool is_reset);
  Link& other(const Link& link) { return &link == &up_ ? down_ : up_; }

  Network& network_;
  std::int64_t number_;
  Socket from_;
  Socket to_;
  boost::asio::steady_timer open_timer_;
  Link up_;
  Link down_;
  std::function<void()> closed_;
};

}  // namespace coppice::netproxy
