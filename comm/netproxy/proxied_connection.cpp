#include "comm/netproxy/proxied_connection.h"

#include <algorithm>  // for max, min
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <utility>  // for move, exchange

namespace coppice::netproxy {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

// The kernel's own buffers would let a sender run ahead of the link by megabytes.
constexpr int kSocketBufferBytes = 64 * 1024;

// Without them a connection is late or runs ahead, but right.
void set_options(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(boost::asio::socket_base::receive_buffer_size(kSocketBufferBytes), ignored);
  socket.set_option(boost::asio::socket_base::send_buffer_size(kSocketBufferBytes), ignored);
}

bool has_left(tcp::socket& socket) {
  error_code error;
  std::uint8_t byte = 0;
  socket.non_blocking(true, error);
  socket.receive(boost::asio::buffer(&byte, 1), tcp::socket::message_peek, error);
  return error && error != boost::asio::error::would_block;
}

bool is_refusing(const Scenario& scenario, Time now) {
  return std::ranges::any_of(scenario.partitions, [now](const Partition& partition) {
    const double now_s = std::chrono::duration<double>(now).count();
    return partition.connect == Partition::Connect::kRefuse && now_s >= partition.from_s &&
           now_s < partition.from_s + partition.for_s;
  });
}

}  // namespace

ProxiedConnection::Link::Link(Direction the_direction, const LinkConditions& the_conditions,
                              LinkCounters& the_counters, Socket& the_source, Socket& the_sink,
                              const Scenario& scenario)
    : direction(the_direction),
      conditions(the_conditions),
      counters(the_counters),
      source(the_source),
      sink(the_sink),
      schedule(the_conditions, outages_of(scenario, the_direction)),
      timer(the_source.get_executor()) {}

ProxiedConnection::ProxiedConnection(Socket from, Network& network, std::int64_t number)
    : network_(network),
      number_(number),
      from_(std::move(from)),
      to_(from_.get_executor()),
      open_timer_(from_.get_executor()),
      up_(Direction::kUp, network.scenario.up, network.counters.up, from_, to_, network.scenario),
      down_(Direction::kDown, network.scenario.down, network.counters.down, to_, from_,
            network.scenario) {}

// ---- TCP's handshake

void ProxiedConnection::start(std::function<void()> closed) {
  closed_ = std::move(closed);
  set_options(from_);
  const Time now = network_.now();
  if (is_refusing(network_.scenario, now)) {
    ++network_.counters.refused;
    return close(true);
  }
  // The kernel has accepted it already; what the client sends waits until it would have been told
  // so.
  const Time known = down_.schedule.crossing(up_.schedule.crossing(now));
  open_timer_.expires_at(network_.start + known);
  open_timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (!error) self->open();
  });
}

void ProxiedConnection::open() {
  if (has_left(from_)) return close(true);  // it was never heard of on the other side
  boost::asio::async_connect(to_, network_.to,
                             [self = shared_from_this()](const error_code& error, const auto&) {
                               if (self->from_.is_open()) self->opened(error);
                             });
}

void ProxiedConnection::opened(const error_code& error) {
  if (error) {
    ++network_.counters.refused;
    return close(true);
  }
  set_options(to_);
  read(up_);
  read(down_);
}

// ---- from the source

void ProxiedConnection::read(Link& link) {
  constexpr auto kMost = static_cast<std::int64_t>(kSegmentBytes + sizeof(Parcel));
  if (link.is_reading || link.has_source_ended ||
      network_.scenario.queue_bytes - link.held_bytes < kMost)
    return;
  link.is_reading = true;
  link.source.async_read_some(
      boost::asio::buffer(link.buffer),
      [self = shared_from_this(), &link](const error_code& error, std::size_t size) {
        link.is_reading = false;
        if (!self->from_.is_open() || link.has_source_ended) return;
        if (error) {
          const bool is_end = error == boost::asio::error::eof;
          return self->end_source(link, is_end ? Parcel::What::kEnd : Parcel::What::kReset);
        }
        self->took(link, size);
        self->read(link);
      });
}

void ProxiedConnection::took(Link& link, std::size_t size) {
  const SegmentFate fate =
      fate_of({network_.seed, number_, link.direction, link.segments++}, link.conditions);
  ++link.counters.segments;
  link.bytes += static_cast<std::int64_t>(size);
  std::vector<std::uint8_t> bytes(link.buffer.data(), link.buffer.data() + size);
  if (breaks(link, bytes, fate)) return;
  flip(link, bytes, fate);
  link.counters.lost += fate.losses;
  link.counters.duplicated += fate.is_duplicated ? 1 : 0;
  link.counters.reordered += fate.is_reordered ? 1 : 0;
  link.counters.stalled += fate.is_stalled ? 1 : 0;
  link.counters.extra_bytes += static_cast<std::int64_t>(extra_bytes(size, fate));
  send(link, {.bytes = std::move(bytes)}, fate);
}

// Whether the connection ends with this segment. What was sent before it still arrives.
bool ProxiedConnection::breaks(Link& link, std::vector<std::uint8_t>& bytes,
                               const SegmentFate& fate) {
  if (fate.is_truncated) {
    ++network_.counters.truncated;
    end_source(link, Parcel::What::kClose);
    return true;
  }
  const std::optional<std::int64_t> limit = link.conditions.cut_after_bytes;
  const bool is_full = limit && link.bytes >= *limit;
  if (!fate.is_cut && !is_full) return false;
  ++network_.counters.cut;
  if (!fate.is_cut) {  // up to the limit they pass
    bytes.resize(bytes.size() - static_cast<std::size_t>(link.bytes - *limit));
    send(link, {.bytes = std::move(bytes)}, fate);
  }
  end_source(link, Parcel::What::kReset);
  return true;
}

void ProxiedConnection::flip(Link& link, std::vector<std::uint8_t>& bytes,
                             const SegmentFate& fate) {
  if (!fate.flip) return;
  ++link.counters.flipped;
  const auto bit =
      static_cast<std::size_t>(*fate.flip * static_cast<double>(8 * bytes.size()));  // below them
  bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
}

void ProxiedConnection::end_source(Link& link, Parcel::What what) {
  link.has_source_ended = true;
  send(link, {.what = what}, {});
}

// ---- to the sink

void ProxiedConnection::send(Link& link, Parcel parcel, const SegmentFate& fate) {
  const Time now = network_.now();
  parcel.due = link.schedule.arrival(now, parcel.bytes.size(), fate);
  if (!parcel.bytes.empty() && parcel.due > now) ++link.counters.delayed;
  link.held_bytes += parcel.held_bytes();
  link.counters.peak_held_bytes = std::max(link.counters.peak_held_bytes, link.held_bytes);
  link.parcels.push_back(std::move(parcel));
  deliver(link);
}

void ProxiedConnection::deliver(Link& link) {
  if (link.is_delivering || link.parcels.empty() || !from_.is_open()) return;
  link.is_delivering = true;
  const Time due = link.parcels.front().due;
  if (due <= network_.now()) return deliver_first(link);
  link.timer.expires_at(network_.start + due);
  link.timer.async_wait([self = shared_from_this(), &link](const error_code& error) {
    if (!error && self->from_.is_open()) self->deliver_first(link);
  });
}

void ProxiedConnection::deliver_first(Link& link) {
  switch (const Parcel& parcel = link.parcels.front(); parcel.what) {
    case Parcel::What::kBytes:
      boost::asio::async_write(
          link.sink, boost::asio::buffer(parcel.bytes),
          [self = shared_from_this(), &link](const error_code& error, std::size_t) {
            if (self->from_.is_open()) self->delivered(link, error);
          });
      return;
    case Parcel::What::kEnd: {
      error_code ignored;  // the sink's own reader hears of it
      link.sink.shutdown(tcp::socket::shutdown_send, ignored);
      link.has_ended = true;
      link.is_delivering = false;
      link.parcels.pop_front();
      if (other(link).has_ended) return close(false);
      return deliver(link);
    }
    case Parcel::What::kClose:
      return close(false);
    case Parcel::What::kReset:
      return close(true);
  }
}

void ProxiedConnection::delivered(Link& link, const error_code& error) {
  link.is_delivering = false;
  if (error) {
    // Nobody is there any more: the source hears of it as it would, by what comes back.
    link.parcels.clear();
    link.held_bytes = 0;
    link.has_source_ended = true;
    Link& back = other(link);
    if (back.parcels.empty() || back.parcels.back().what != Parcel::What::kReset)
      end_source(back, Parcel::What::kReset);
    return;
  }
  const Parcel& parcel = link.parcels.front();
  link.counters.bytes += static_cast<std::int64_t>(parcel.bytes.size());
  link.held_bytes -= parcel.held_bytes();
  link.parcels.pop_front();
  deliver(link);
  read(link);
}

void ProxiedConnection::close(bool is_reset) {
  if (!closed_) return;
  error_code ignored;  // of sockets that are gone either way
  for (Socket* socket : {&from_, &to_}) {
    if (is_reset) socket->set_option(boost::asio::socket_base::linger(true, 0), ignored);
    socket->close(ignored);
  }
  open_timer_.cancel();
  up_.timer.cancel();
  down_.timer.cancel();
  std::exchange(closed_, nullptr)();
}

}  // namespace coppice::netproxy
