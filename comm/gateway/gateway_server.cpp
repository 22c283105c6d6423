#include "comm/gateway/gateway_server.h"

#include <cstddef>   // for size_t
#include <iterator>  // for prev
#include <utility>   // for exchange

#include "comm/gateway/gateway_peer.h"
#include "core/error.h"
#include "core/node_id.h"
#include "core/text.h"

namespace coppice::gateway {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using session::AckStatus;

constexpr std::size_t kMaxReasons = 64;  // that are counted apart; a peer may have a say in them
constexpr int kMaxWrongDigests = 3;
constexpr int kBacklog = 4096;

void check(const GatewayOptions& options) {
  const auto expect = [](bool is_good, const std::string& rule) {
    if (!is_good) throw ConfigError("gateway: expected " + rule);
  };
  constexpr std::int64_t kMaxMs = 3'600'000;
  expect(
      options.heartbeat_ms >= 1 && options.silence_ms <= kMaxMs &&
          options.heartbeat_ms < options.silence_ms,
      text("heartbeats from 1 ms, more often than the silence that is allowed, which is at most ",
           kMaxMs, " ms; got ", options.heartbeat_ms, " and ", options.silence_ms));
  expect(options.stall_ms >= 1 && options.stall_ms <= kMaxMs && options.handshake_ms >= 1 &&
             options.handshake_ms <= kMaxMs,
         text("limits from 1 to ", kMaxMs, " ms for stalls and handshakes, got ", options.stall_ms,
              " and ", options.handshake_ms));
  expect(options.max_connections >= 1 && options.max_handshakes >= 1,
         text("at least one connection and one handshake, got ", options.max_connections, " and ",
              options.max_handshakes));
  expect(options.max_update_bytes >= 1 && options.max_update_bytes <= options.buffer_bytes,
         text("room for the largest update (", options.max_update_bytes, " bytes), got ",
              options.buffer_bytes));
}

ConnectionTimes times_of(const GatewayOptions& options) {
  return {milliseconds(options.heartbeat_ms), milliseconds(options.silence_ms),
          milliseconds(options.stall_ms), milliseconds(options.handshake_ms)};
}

GatewayOptions checked(GatewayOptions options) {
  check(options);
  options.clock = tls::or_system_clock(std::move(options.clock));
  return options;
}

}  // namespace

GatewayServer::GatewayServer(boost::asio::io_context& io, const GatewayOptions& options,
                             const session::RunId& run, std::span<const std::string> nodes,
                             Mailbox& mailbox)
    : options_(checked(options)),
      run_(run),
      times_(times_of(options)),
      mailbox_(mailbox),
      tls_(tls::End::kCoordinator, options.files, options_.clock),
      acceptor_(io),
      timer_(io) {
  for (const std::string& name : nodes) {
    check_node_id(name);
    const auto [place, is_new] = nodes_.try_emplace(name);
    if (!is_new)
      throw ConfigError(text("gateway: expected each node once, got '", name, "' again"));
    place->second.name = name;
  }
  try {
    const tcp::endpoint endpoint(boost::asio::ip::make_address(options.address), options.port);
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen(kBacklog);
    port_ = acceptor_.local_endpoint().port();
  } catch (const boost::system::system_error& error) {
    throw ConfigError(text("gateway: expected an address to listen on, got ", options.address,
                           " port ", options.port, ": ", error.code().message()));
  }
}

GatewayServer::~GatewayServer() = default;

void GatewayServer::start() {
  accept();
  tick();
}

// ---- connections

void GatewayServer::accept() {
  const auto open = static_cast<std::int64_t>(peers_.size());
  if (is_accepting_ || !acceptor_.is_open() || open >= options_.max_connections ||
      handshakes_ >= options_.max_handshakes)
    return;
  is_accepting_ = true;
  acceptor_.async_accept([this](const error_code& error, tcp::socket socket) {
    is_accepting_ = false;
    accepted(error, std::move(socket));
  });
}

void GatewayServer::accepted(const error_code& error, tcp::socket socket) {
  if (!acceptor_.is_open()) return;
  if (error) {
    // No descriptors or no memory: the next tick tries again, and what waits outside waits on.
    ++counted_.accept_failures;
    return;
  }
  try {
    ++counted_.accepted;
    peers_.push_back(std::make_unique<GatewayPeer>(*this, std::move(socket), tls_));
    peers_.back()->place = std::prev(peers_.end());
    ++handshakes_;
  } catch (const std::exception&) {  // OpenSSL or the system has no room for it
    ++counted_.accept_failures;
    return;
  }
  accept();
}

void GatewayServer::tick() {
  const SteadyTime now = std::chrono::steady_clock::now();
  for (auto place = peers_.begin(); place != peers_.end();) {
    GatewayPeer& peer = **place;
    ++place;  // a tick may delete its peer, and no other
    peer.tick(now);
  }
  accept();
  timer_.expires_after(times_.tick());
  timer_.async_wait([this](const error_code& error) {
    if (!error) tick();
  });
}

Node* GatewayServer::node_named(const std::string& name) {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : &found->second;
}

void GatewayServer::handshake_ended() {
  --handshakes_;
  accept();
}

void GatewayServer::enroll(Node& node, GatewayPeer& peer) {
  ++counted_.enrolled;
  GatewayPeer* const before = std::exchange(node.peer, &peer);
  if (before != nullptr) {
    ++counted_.replaced;
    before->say_bye(session::ByeReason::kRefused,
                    "another connection of this node has taken its place");
  }
  mailbox_.set_presence(node.name, true, "");
}

void GatewayServer::left(Node& node, const std::string& reason) {
  node.peer = nullptr;
  mailbox_.set_presence(node.name, false, reason);
  serve_waiting();  // the room of its update may be another's now
}

void GatewayServer::remove(GatewayPeer& peer) {
  counted_.bytes_in += peer.bytes().in;
  counted_.bytes_out += peer.bytes().out;
  peers_.erase(peer.place);
  if (peers_.empty() && stopped_) return std::exchange(stopped_, nullptr)();
  accept();
}

void GatewayServer::count_refusal(const std::string& reason) {
  const bool is_known = counted_.refused.contains(reason);
  ++counted_.refused[is_known || counted_.refused.size() < kMaxReasons ? reason : "other"];
}

bool GatewayServer::is_list_good(const tls::Peer& peer) { return tls_.is_still_good(peer); }

void GatewayServer::stop(session::ByeReason reason, const std::string& text,
                         std::function<void()> stopped) {
  error_code ignored;
  acceptor_.close(ignored);
  stopped_ = std::move(stopped);
  for (auto place = peers_.begin(); place != peers_.end();) {
    GatewayPeer& peer = **place;
    ++place;
    if (peer.is_enrolled())
      peer.say_bye(reason, text);
    else if (peer.is_in_handshake())
      remove(peer);  // nobody that we know
  }
  if (peers_.empty() && stopped_) std::exchange(stopped_, nullptr)();
}

GatewayCounters GatewayServer::counters() const {
  GatewayCounters counters = counted_;
  counters.connections = static_cast<std::int64_t>(peers_.size());
  counters.held_bytes = room_taken_;
  for (const auto& peer : peers_) {
    counters.bytes_in += peer->bytes().in;
    counters.bytes_out += peer->bytes().out;
  }
  return counters;
}

// ---- tasks and answers

void GatewayServer::ask(std::shared_ptr<const Asked> asked) {
  Node& node = *node_named(asked->key.node);
  drop_upload(node);
  node.asked = std::move(asked);
  node.stage = Stage::kOpen;
  node.is_told = false;
  node.wrong_digests = 0;
  if (node.peer == nullptr) return;
  node.peer->say_late();  // an earlier attempt that waits
  if (node.peer != nullptr) node.peer->give_task();
}

void GatewayServer::settle(const session::UpdateKey& key, AckStatus status,
                           const std::string& reason) {
  Node& node = *node_named(key.node);
  if (node.asked == nullptr || node.asked->key != key) return;
  node.stage = Stage::kSettled;
  node.verdict = status;
  node.verdict_reason = reason;
  if (node.peer != nullptr && node.peer->waits_for_ack()) node.peer->say_verdict();
}

void GatewayServer::refuse(Node& node, const std::string& reason) {
  drop_upload(node);
  mailbox_.put(Declined{node.name, node.asked->key, reason});
  settle(node.asked->key, AckStatus::kRefused, reason);
}

void GatewayServer::close_round(const std::set<std::string>& standing) {
  for (auto& [name, node] : nodes_) {
    if (node.stage != Stage::kSettled && standing.contains(name)) continue;
    drop_upload(node);
    node.asked = nullptr;
    if (node.peer != nullptr) node.peer->say_late();
  }
  serve_waiting();  // of whom some wait no more
}

void GatewayServer::send_again(const session::UpdateKey& key, std::uint64_t bytes) {
  give_back(bytes);
  Node& node = *node_named(key.node);
  if (node.asked == nullptr || node.asked->key != key || node.stage != Stage::kArrived) return;
  node.stage = Stage::kOpen;
  if (++node.wrong_digests >= kMaxWrongDigests)
    return refuse(node, text("expected an update with the digest that was offered, got another ",
                             node.wrong_digests, " times"));
  // Perhaps by another connection than the one that brought it, with another answer: judged anew.
  if (node.peer != nullptr && node.peer->waits_for_ack()) node.peer->judge_answer();
}

// ---- room

void GatewayServer::drop_upload(Node& node) {
  const std::uint64_t bytes = node.upload.has_room ? node.upload.total : 0;
  node.upload = {};
  if (bytes != 0) give_back(bytes);
}

void GatewayServer::give_back(std::uint64_t bytes) {
  room_taken_ -= bytes;
  serve_waiting();
}

// Whether there is room for so many bytes, perhaps at the cost of nodes that are away: what they
// had sent they will send again.
bool GatewayServer::make_room(std::uint64_t bytes) {
  if (bytes <= options_.buffer_bytes - room_taken_) return true;
  for (auto& [name, node] : nodes_) {
    if (node.peer != nullptr || !node.upload.has_room) continue;
    room_taken_ -= node.upload.total;
    node.upload = {};
    if (bytes <= options_.buffer_bytes - room_taken_) return true;
  }
  return false;
}

void GatewayServer::get_room(Node& node) {
  if (node.upload.has_room) return node.peer->receive_update();
  if (waiting_.empty() && make_room(node.upload.total)) return grant_room(node);
  if (std::exchange(node.waits_for_room, true)) return;
  waiting_.push_back(&node);
}

void GatewayServer::grant_room(Node& node) {
  room_taken_ += node.upload.total;
  node.upload.has_room = true;
  node.upload.since = std::chrono::steady_clock::now();
  node.peer->receive_update();
}

void GatewayServer::serve_waiting() {
  while (!waiting_.empty()) {
    Node& node = *waiting_.front();
    const bool still_waits = node.peer != nullptr && node.peer->waits_for_ack() &&
                             node.stage == Stage::kOpen && node.upload.total != 0 &&
                             !node.upload.has_room;
    if (still_waits && !make_room(node.upload.total)) return;
    waiting_.pop_front();
    node.waits_for_room = false;
    if (!still_waits) continue;
    grant_room(node);
  }
}

}  // namespace coppice::gateway
