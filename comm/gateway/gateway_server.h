#pragma once
// The gateway's io thread: who is connected, what each node was asked, and whose bytes have room.
// Private to comm/gateway; everything but the constructor and port() on the io thread.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>       // for deque
#include <functional>  // for function
#include <list>        // for list
#include <map>         // for map
#include <memory>      // for shared_ptr
#include <set>         // for set
#include <string>      // for string

#include "comm/gateway/connection.h"
#include "comm/gateway/gateway.h"
#include "comm/gateway/mailbox.h"

namespace coppice::gateway {

class GatewayPeer;

// A question with what identifies it. Shared by its node and the connections that carry it.
struct Asked {
  session::UpdateKey key;
  std::vector<std::uint8_t> task;
  std::shared_ptr<const std::vector<std::uint8_t>> model;  // shared with the owner and other nodes
  session::Sha256Digest model_digest = {};
  std::uint32_t deadline_ms = 0;
  SteadyTime asked_at;
};

// The part of an update that is here. It survives the connection that it came by.
struct Upload {
  session::Sha256Digest digest = {};
  std::uint64_t total = 0;  // 0: there is none
  std::vector<std::uint8_t> bytes = {};
  bool has_room = false;  // `total` bytes of the buffer are its own
  SteadyTime since = {};  // and when they became it
};

enum class Stage : std::uint8_t {
  kOpen,     // the node has not answered
  kArrived,  // the update is whole, and with the owner
  kSettled   // there is a verdict
};

// A node of the run, here or away.
struct Node {
  std::string name;
  GatewayPeer* peer = nullptr;         // its connection; null while away
  std::shared_ptr<const Asked> asked;  // the newest attempt that is not over; null: none
  Stage stage = Stage::kOpen;          // of that
  session::AckStatus verdict = session::AckStatus::kRefused;
  std::string verdict_reason;
  bool is_told = false;  // it is not to be given this task again
  bool waits_for_room = false;
  int wrong_digests = 0;
  Upload upload;
};

class GatewayServer {
 public:
  GatewayServer(boost::asio::io_context& io, const GatewayOptions& options,
                const session::RunId& run, std::span<const std::string> nodes, Mailbox& mailbox);
  ~GatewayServer();

  std::uint16_t port() const { return port_; }
  void start();

  // ---- for the owner
  void ask(std::shared_ptr<const Asked> asked);
  void settle(const session::UpdateKey& key, session::AckStatus status, const std::string& reason);
  void close_round(const std::set<std::string>& standing);
  void give_back(std::uint64_t bytes);  // room of an update that was taken
  // An update that was not what its digest says; its room is given back.
  void send_again(const session::UpdateKey& key, std::uint64_t bytes);
  void stop(session::ByeReason reason, const std::string& text, std::function<void()> stopped);
  GatewayCounters counters() const;

  // ---- for its peers
  Node* node_named(const std::string& name);
  void handshake_ended();
  void enroll(Node& node, GatewayPeer& peer);
  void left(Node& node, const std::string& reason);  // its connection is over
  void remove(GatewayPeer& peer);                    // deletes it
  void count_refusal(const std::string& reason);
  void get_room(Node& node);  // calls the peer's receive_update(), now or when there is room
  void drop_upload(Node& node);
  bool is_room_scarce() const { return !waiting_.empty(); }
  void refuse(Node& node, const std::string& reason);  // its answer; the owner hears of it
  bool is_list_good(const tls::Peer& peer);  // false: revoked or ended; DataError: nobody knows
  const GatewayOptions& options() const { return options_; }
  const session::RunId& run() const { return run_; }
  const ConnectionTimes& times() const { return times_; }
  Mailbox& mailbox() { return mailbox_; }
  GatewayCounters& counted() { return counted_; }

 private:
  void accept();
  void accepted(const boost::system::error_code& error, boost::asio::ip::tcp::socket socket);
  void tick();
  void serve_waiting();
  void grant_room(Node& node);
  bool make_room(std::uint64_t bytes);

  GatewayOptions options_;
  session::RunId run_;
  ConnectionTimes times_;
  Mailbox& mailbox_;
  tls::TlsContext tls_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  boost::asio::steady_timer timer_;
  bool is_accepting_ = false;
  std::int64_t handshakes_ = 0;  // under way, to the hello

  std::map<std::string, Node> nodes_;  // of the run: never grows
  std::list<std::unique_ptr<GatewayPeer>> peers_;
  std::deque<Node*> waiting_;      // for room, in turn
  std::uint64_t room_taken_ = 0;   // bytes of the buffer
  GatewayCounters counted_;        // but what live connections add
  std::function<void()> stopped_;  // called when the last peer has gone
};

}  // namespace coppice::gateway
