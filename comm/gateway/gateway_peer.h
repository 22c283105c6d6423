#pragma once
// One connection at the coordinator's end: what the node may have now, and what is made of what it
// says. Private to comm/gateway; the io thread. Owned by the server, which it tells when it is
// over.

#include <list>  // for list

#include "comm/gateway/gateway_server.h"

namespace coppice::gateway {

class GatewayPeer final : public Connection::Owner {
 public:
  GatewayPeer(GatewayServer& server, boost::asio::ip::tcp::socket socket, tls::TlsContext& context);
  ~GatewayPeer() override;
  GatewayPeer(const GatewayPeer&) = delete;
  GatewayPeer& operator=(const GatewayPeer&) = delete;

  // Its place in the server's list.
  std::list<std::unique_ptr<GatewayPeer>>::iterator place;

  void opened() override;
  void received(session::Message message) override;
  void drained() override;
  void broken(const std::string& text) override;
  void closed(const Closing& closing) override;

  void tick(SteadyTime now);
  void give_task();       // if the node is idle and there is one for it
  void receive_update();  // there is room: asks for the bytes that are missing
  void judge_answer();    // the offer or refusal that waits for an ack, as if it came now
  void say_verdict();     // if the node waits for it
  void say_late();        // if it waits for a task that is no longer asked for
  void say_bye(session::ByeReason reason, const std::string& text);
  bool waits_for_ack() const;  // with this node's newest task
  bool is_in_handshake() const { return is_in_handshake_; }
  bool is_enrolled() const { return node_ != nullptr; }
  const WireBytes& bytes() const { return connection_->bytes(); }

 private:
  void end_handshake();
  void leave(const std::string& reason);
  void greet(const session::Hello& hello);
  void take_offer(const session::UpdateOffer& offer);
  void take_chunk(const session::UpdateChunk& chunk);
  void take_decline(const session::Decline& decline);
  void refuse_node(const std::string& reason, const std::string& text);
  void check_certificate(SteadyTime now);
  void check_upload(SteadyTime now);
  const ConnectionTimes& times() const;
  bool is_wanted() const;  // the task at hand is the newest, and open
  bool is_waiting() const;
  void ack(session::AckStatus status, const std::string& reason = {});

  GatewayServer& server_;
  std::shared_ptr<Connection> connection_;  // shared with its handlers
  bool is_in_handshake_ = true;             // has not said hello
  Node* node_ = nullptr;                    // once enrolled, until it is replaced or leaves
  std::shared_ptr<const Asked> task_;       // what the node works at; null: idle
  std::shared_ptr<const Asked> answered_;   // the last that this connection brought to its end
  session::UpdateOffer offer_;              // of task_
  std::optional<std::string> declined_;     // why the node cannot do task_
  SteadyTime checked_at_;                   // when the certificate was
};

}  // namespace coppice::gateway
