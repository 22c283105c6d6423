#include "comm/gateway/connection.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <array>  // for array
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cerrno>   // for errno
#include <cstring>  // for strerror
#include <utility>  // for exchange

#include "core/error.h"
#include "core/text.h"

namespace coppice::gateway {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using session::Side;
using How = Closing::How;

// A turn ends after so many bytes, so that one fast peer does not keep the others waiting.
constexpr std::size_t kTurnBytes = std::size_t{256} * 1024;
constexpr int kMaxHeartbeatsATick = 100;

// Shared by all connections of a thread: what is in it is used up before the turn ends.
std::span<std::uint8_t> scratch() {
  alignas(64) thread_local std::array<std::uint8_t, 16384> bytes;  // as in coppice_runtime.cpp
  return bytes;
}

void set_option(int socket, int name, int value) {
  // Without them a connection is slower to send or to be missed, but right.
  ::setsockopt(socket, IPPROTO_TCP, name, &value, sizeof(value));
}

// Takes OpenSSL's queue of errors: its first code, 0 without one.
unsigned long first_error() {  // NOLINT(google-runtime-int): OpenSSL's type
  const auto code = ERR_get_error();
  ERR_clear_error();
  return code;
}

std::string reason_of(unsigned long code) {  // NOLINT(google-runtime-int)
  const char* const reason = ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

bool is_alert(unsigned long code, int alert) {  // NOLINT(google-runtime-int)
  return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_AD_REASON_OFFSET + alert;
}

bool is_enrolled(session::SessionState state) {
  return state != session::SessionState::kOpening && state != session::SessionState::kGreeted;
}

}  // namespace

std::string printable(const std::string& text) {
  std::string out = text.substr(0, session::kMaxTextBytes);
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

Connection::Connection(tcp::socket socket, tls::TlsContext& context, tls::End end,
                       const ConnectionTimes& times, Owner& owner)
    : socket_(std::move(socket)),
      times_(times),
      owner_(&owner),
      end_(end),
      state_since_(std::chrono::steady_clock::now()),
      last_in_(state_since_),
      last_out_(state_since_),
      last_progress_(state_since_) {
  socket_.native_non_blocking(true);
  const int handle = socket_.native_handle();
  set_option(handle, TCP_NODELAY, 1);
  set_option(handle, TCP_USER_TIMEOUT, static_cast<int>(times.silence.count()));
  ssl_ = make_ssl(context.asio().native_handle(), handle, bytes_);
  if (end == tls::End::kCoordinator)
    SSL_set_accept_state(ssl_.get());
  else
    SSL_set_connect_state(ssl_.get());
}

Side Connection::own_side() const {
  return end_ == tls::End::kCoordinator ? Side::kCoordinator : Side::kNode;
}
Side Connection::other_side() const {
  return end_ == tls::End::kCoordinator ? Side::kNode : Side::kCoordinator;
}

std::size_t Connection::held_bytes() const {
  std::size_t bytes = parser_.allocated_bytes();
  for (const auto& frame : outbox_) bytes += frame.capacity();
  return bytes;
}

void Connection::set_times(const ConnectionTimes& times) {
  times_ = times;
  set_option(socket_.native_handle(), TCP_USER_TIMEOUT, static_cast<int>(times.silence.count()));
}

void Connection::start() { schedule(); }
void Connection::wake() { schedule(); }

void Connection::send(const session::Message& message) {
  if (state_ != State::kOpen) return;  // it ends; the owner hears of it
  std::vector<std::uint8_t> frame = session::encode(message);
  session_.accept(own_side(), message);
  outbox_.push_back(std::move(frame));
  schedule();
}

void Connection::say_bye(session::ByeReason reason, const std::string& text) {
  if (state_ != State::kOpen) return;
  send(session::Bye{reason, printable(text)});
  closing_ = {How::kOurBye, reason, text};
  state_ = State::kBye;
  state_since_ = std::chrono::steady_clock::now();
}

void Connection::abandon() {
  owner_ = nullptr;
  close({});
}

// ---- turns

void Connection::schedule() {
  if (is_scheduled_ || state_ == State::kClosed) return;
  is_scheduled_ = true;
  boost::asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->is_scheduled_ = false;
    self->turn();
  });
}

void Connection::turn() {
  wants_write_ = false;
  ERR_clear_error();  // of other connections: SSL_get_error looks at the thread's queue
  if (state_ == State::kHandshake && !handshake()) return wait();
  if (state_ == State::kOpen) read();
  if (state_ == State::kOpen || state_ == State::kBye) write();
  if (state_ == State::kLinger) linger();
  wait();
}

void Connection::wait() {
  if (state_ == State::kClosed || is_scheduled_) return;
  if (state_ != State::kBye) wait_for(tcp::socket::wait_read, is_waiting_to_read_);
  if (wants_write_) wait_for(tcp::socket::wait_write, is_waiting_to_write_);
}

void Connection::wait_for(tcp::socket::wait_type type, bool& is_waiting) {
  if (is_waiting) return;
  is_waiting = true;
  socket_.async_wait(type, [self = shared_from_this(), &is_waiting](const error_code& /*error*/) {
    is_waiting = false;
    if (self->state_ != State::kClosed && !self->is_scheduled_) self->turn();
  });
}

// What OpenSSL cannot do now; an error ends the connection.
void Connection::want(int error) {
  if (error == SSL_ERROR_WANT_WRITE) {
    wants_write_ = true;
  } else if (error != SSL_ERROR_WANT_READ) {
    lose_by(error);
  }
}

bool Connection::handshake() {
  const int done = SSL_do_handshake(ssl_.get());
  if (done != 1) {
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      want(error);
      return false;
    }
    const std::string refusal = tls::refusal_of(ssl_.get());
    closing_ = {How::kHandshake, {}, refusal.empty() ? reason_of(first_error()) : refusal};
    finish_writing();  // OpenSSL has sent an alert, which says why
    return false;
  }
  peer_ = tls::peer_of(ssl_.get());
  state_ = State::kOpen;
  owner_->opened();
  return true;
}

void Connection::read() {
  const std::span<std::uint8_t> buffer = scratch();
  for (std::size_t taken = 0; state_ == State::kOpen;) {
    if (taken >= kTurnBytes) return schedule();
    const int count = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (count <= 0) return want(SSL_get_error(ssl_.get(), count));
    taken += static_cast<std::size_t>(count);
    last_in_ = std::chrono::steady_clock::now();
    take(buffer.first(static_cast<std::size_t>(count)));
  }
}

void Connection::take(std::span<const std::uint8_t> bytes) {
  try {
    while (!bytes.empty() && state_ == State::kOpen) {
      auto frame = parser_.next(bytes, session_.caps(other_side()));
      if (!frame) return;
      session::Message message = session::decode(frame->type, frame->payload);
      session_.accept(other_side(), message);
      if (const auto* bye = std::get_if<session::Bye>(&message))
        return close({How::kPeerBye, bye->reason, bye->text});
      if (std::holds_alternative<session::Heartbeat>(message) &&
          ++heartbeats_in_ > kMaxHeartbeatsATick)
        throw WireError(text("session: expected a heartbeat now and then, got ", heartbeats_in_,
                             " in ", times_.tick().count(), " ms"));
      owner_->received(std::move(message));
    }
  } catch (const WireError& error) {
    if (state_ == State::kOpen) owner_->broken(error.what());
  }
}

void Connection::write() {
  for (std::size_t written = 0; state_ == State::kOpen || state_ == State::kBye;) {
    if (outbox_.empty() && state_ == State::kOpen && owner_ != nullptr) owner_->drained();
    if (outbox_.empty()) break;
    if (written >= kTurnBytes) return schedule();
    const std::size_t size = outbox_.front().size();
    if (!write_front()) return;
    written += size;
  }
  if (state_ != State::kBye) return;
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  finish_writing();
}

// All of it is with the kernel. The socket is not closed before the other end has read it: what
// that still sends would make the kernel throw the bye away.
void Connection::finish_writing() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  state_ = State::kLinger;
  state_since_ = std::chrono::steady_clock::now();
  schedule();
}

// Whether the front of the outbox has gone.
bool Connection::write_front() {
  const auto& frame = outbox_.front();
  while (front_sent_ < frame.size()) {
    const int count = SSL_write(ssl_.get(), frame.data() + front_sent_,
                                static_cast<int>(frame.size() - front_sent_));
    if (count <= 0) {
      want(SSL_get_error(ssl_.get(), count));
      return false;
    }
    front_sent_ += static_cast<std::size_t>(count);
    last_out_ = std::chrono::steady_clock::now();
  }
  outbox_.pop_front();
  front_sent_ = 0;
  return true;
}

void Connection::linger() {
  const std::span<std::uint8_t> buffer = scratch();
  for (std::size_t taken = 0; taken < kTurnBytes;) {
    const auto count = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (count <= 0) return close(closing_);
    taken += static_cast<std::size_t>(count);
  }
  schedule();
}

// ---- ends

void Connection::lose(const std::string& text) { close({How::kLost, {}, text}); }

void Connection::lose_by(int error) {
  const int system_error = errno;
  const auto code = first_error();
  Closing closing{state_ == State::kBye ? closing_ : Closing{How::kLost, {}, "cut"}};
  if (state_ != State::kBye && error == SSL_ERROR_SSL &&
      ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
    closing.text = reason_of(code);
  if (state_ != State::kBye && error == SSL_ERROR_SYSCALL && code == 0 && system_error != 0)
    closing.text = std::strerror(system_error);
  closing.is_certificate_refused =
      is_alert(code, SSL_AD_CERTIFICATE_REVOKED) || is_alert(code, SSL_AD_CERTIFICATE_EXPIRED);
  close(closing);
}

void Connection::close(const Closing& closing) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  outbox_.clear();
  error_code ignored;
  socket_.close(ignored);  // ends the waits
  // A copy: it may be our own, and who is told may end us.
  if (owner_ != nullptr) std::exchange(owner_, nullptr)->closed(Closing(closing));
}

// ---- time

void Connection::tick(SteadyTime now) {
  heartbeats_in_ = 0;
  if (state_ == State::kClosed) return;
  if (state_ == State::kBye || state_ == State::kLinger) {
    if (now - state_since_ > times_.silence) close(closing_);
    return;
  }
  const bool is_session = state_ == State::kOpen && is_enrolled(session_.state());
  if (!is_session) {
    if (now - state_since_ > times_.handshake)
      close({state_ == State::kHandshake ? How::kHandshake : How::kLost,
             {},
             text("no session after ", times_.handshake.count(), " ms")});
    return;
  }
  check_progress(now);
  if (state_ != State::kOpen) return;
  // A frame that is being written will arrive too; nothing is put behind it.
  if (outbox_.empty() && now - last_out_ + times_.tick() >= times_.heartbeat &&
      session::may_send(session_.state(), session::MessageType::kHeartbeat, own_side())) {
    last_out_ = now;
    send(session::Heartbeat{heartbeats_sent_++});
  }
}

void Connection::check_progress(SteadyTime now) {
  // Long frames over slow lines: parts of a record count as signs of life too.
  if (bytes_.in != seen_.in && last_in_ < now - times_.tick()) last_in_ = now;
  if (now - last_in_ > times_.silence)
    return lose(text("silent for ", times_.silence.count(), " ms"));
  const auto driven_by_other = end_ == tls::End::kCoordinator ? session::SessionState::kUpdate
                                                              : session::SessionState::kModel;
  const bool is_transfer_stuck =
      session_.state() == driven_by_other && session_.transferred_bytes() == seen_transferred_;
  const bool is_write_stuck = !outbox_.empty() && bytes_.out == seen_.out;
  if (!is_transfer_stuck && !is_write_stuck) last_progress_ = now;
  seen_ = bytes_;
  seen_transferred_ = session_.transferred_bytes();
  if (now - last_progress_ > times_.stall)
    lose(text("no progress for ", times_.stall.count(), " ms"));
}

}  // namespace coppice::gateway
