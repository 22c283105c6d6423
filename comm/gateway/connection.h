#pragma once
// One TLS connection that carries one session, at either end: the handshake, frames in and out, the
// session's order, heartbeats, and the byes at its end. Private to comm/gateway; one io thread.
//
// Everything is bounded. Of what arrives at most one frame is held; what leaves is made when the
// frame before it has gone (Owner::drained), so that a peer that does not read costs one frame. No
// call into a connection but tick() calls its owner back: the owner hears from it on turns of the
// io_context, and may drop it in any of them.

#include <algorithm>  // for max
#include <boost/asio/ip/tcp.hpp>
#include <chrono>   // for steady_clock
#include <cstdint>  // for uint64_t
#include <deque>    // for deque
#include <memory>   // for shared_ptr
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "comm/gateway/socket_bio.h"
#include "comm/session/session.h"
#include "comm/tls/context.h"

namespace coppice::gateway {

using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

// Pieces of transfers: with both headers exactly what one TLS record holds.
inline constexpr std::size_t kPieceBytes = 16384 - session::kSessionHeaderBytes - 24;

struct ConnectionTimes {
  milliseconds heartbeat{1000};
  milliseconds silence{3000};    // nothing has come for so long: lost
  milliseconds stall{60'000};    // a transfer or a write has made no progress for so long: lost
  milliseconds handshake{5000};  // from the connection to the welcome
  // How often tick() shall be called: a silent peer is noticed within a ninth more than `silence`.
  milliseconds tick() const { return std::max(silence / 18, milliseconds(1)); }
};

// How a connection ended.
struct Closing {
  enum class How : std::uint8_t {
    kHandshake,  // there never was one: `text` says why
    kLost,       // cut, silent or stalled
    kPeerBye,    // the peer said bye
    kOurBye      // we did
  };
  How how = How::kLost;
  session::ByeReason reason = session::ByeReason::kLeaving;  // of a bye
  std::string text = {};
  bool is_certificate_refused = false;  // the other end said that ours is revoked or has ended
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void opened() = 0;                            // the handshake is done: peer() is known
    virtual void received(session::Message message) = 0;  // in order; no byes
    virtual void drained() = 0;                           // nothing is left to write: the next?
    virtual void broken(const std::string& text) = 0;     // the peer said what it may not: say bye
    virtual void closed(const Closing& closing) = 0;      // once, last
  };

  // On a connected socket. The owner outlives the connection, or abandons it.
  Connection(boost::asio::ip::tcp::socket socket, tls::TlsContext& context, tls::End end,
             const ConnectionTimes& times, Owner& owner);

  void start();
  void send(const session::Message& message);  // takes account of it in session(); WireError
  void wake();                                 // so that drained() is asked again
  void say_bye(session::ByeReason reason, const std::string& text);  // then closed()
  void abandon();             // closes the socket now; the owner hears no more
  void tick(SteadyTime now);  // looks at the time: heartbeats, silence, stalls
  void set_times(const ConnectionTimes& times);

  const session::Session& session() const { return session_; }
  const tls::Peer& peer() const { return peer_; }  // once it is opened
  bool is_open() const { return state_ == State::kOpen; }
  const WireBytes& bytes() const { return bytes_; }
  std::size_t held_bytes() const;  // of frames, in and out

 private:
  enum class State : std::uint8_t { kHandshake, kOpen, kBye, kLinger, kClosed };

  void schedule();
  void turn();
  bool handshake();
  void read();
  void take(std::span<const std::uint8_t> bytes);
  void write();
  bool write_front();
  void finish_writing();
  void linger();
  void wait();
  void wait_for(boost::asio::ip::tcp::socket::wait_type type, bool& is_waiting);
  void want(int error);
  void lose(const std::string& text);
  void lose_by(int error);
  void close(const Closing& closing);
  void check_progress(SteadyTime now);
  session::Side own_side() const;
  session::Side other_side() const;

  boost::asio::ip::tcp::socket socket_;
  WireBytes bytes_;  // before ssl_, which counts into it
  SslHandle ssl_;
  ConnectionTimes times_;
  Owner* owner_;  // null: it is not to hear more
  tls::End end_;
  State state_ = State::kHandshake;
  tls::Peer peer_;
  session::Session session_;
  session::FrameParser parser_;
  std::deque<std::vector<std::uint8_t>> outbox_;
  std::size_t front_sent_ = 0;  // bytes of the outbox's front that have gone
  Closing closing_;             // while a bye is under way

  bool is_scheduled_ = false;
  bool is_waiting_to_read_ = false;
  bool is_waiting_to_write_ = false;
  bool wants_write_ = false;  // OpenSSL has something that the socket did not take

  SteadyTime state_since_;
  SteadyTime last_in_;  // when bytes came
  SteadyTime last_out_;
  SteadyTime last_progress_;  // of a transfer that the other end drives, or of a write
  WireBytes seen_;            // at the tick before
  std::uint64_t seen_transferred_ = 0;
  std::uint64_t heartbeats_sent_ = 0;
  int heartbeats_in_ = 0;  // since the tick before
};

// A text that may travel: printable ASCII, at most kMaxTextBytes.
std::string printable(const std::string& text);

}  // namespace coppice::gateway
