#include "comm/gateway/gateway_peer.h"

#include <algorithm>  // for min
#include <utility>    // for exchange

#include "core/error.h"
#include "core/text.h"

namespace coppice::gateway {

using session::AckStatus;
using session::ByeReason;
using session::SessionState;

GatewayPeer::GatewayPeer(GatewayServer& server, boost::asio::ip::tcp::socket socket,
                         tls::TlsContext& context)
    : server_(server),
      connection_(std::make_shared<Connection>(std::move(socket), context, tls::End::kCoordinator,
                                               server.times(), *this)),
      checked_at_(std::chrono::steady_clock::now()) {
  connection_->start();
}

GatewayPeer::~GatewayPeer() { connection_->abandon(); }

// ---- who it is

void GatewayPeer::opened() {
  ++server_.counted().handshakes;
  const std::string& name = connection_->peer().identity.node;
  if (server_.node_named(name) == nullptr)
    refuse_node("not a node of this run", text("'", name, "' is not a node of this run"));
}

void GatewayPeer::refuse_node(const std::string& reason, const std::string& text) {
  server_.count_refusal(reason);
  say_bye(ByeReason::kRefused, text);
}

void GatewayPeer::greet(const session::Hello& hello) {
  end_handshake();
  if (hello.oldest_version > session::kProtocolVersion ||
      hello.newest_version < session::kProtocolVersion) {
    server_.count_refusal("no version in common");
    return say_bye(ByeReason::kVersion,
                   text("the coordinator speaks version ", session::kProtocolVersion, ", the node ",
                        hello.oldest_version, " to ", hello.newest_version));
  }
  connection_->send(session::Welcome{session::kProtocolVersion, server_.run(),
                                     static_cast<std::uint32_t>(times().heartbeat.count()),
                                     static_cast<std::uint32_t>(times().silence.count())});
  node_ = server_.node_named(connection_->peer().identity.node);
  server_.enroll(*node_, *this);
  give_task();
}

const ConnectionTimes& GatewayPeer::times() const { return server_.times(); }

// A certificate may end or be taken back while its session is open.
void GatewayPeer::check_certificate(SteadyTime now) {
  if (now - checked_at_ < times().heartbeat) return;
  checked_at_ = now;
  try {
    if (server_.is_list_good(connection_->peer())) return;
    refuse_node("certificate ended or revoked", "the certificate has ended or is revoked");
  } catch (const DataError&) {  // as in a handshake: nobody is let in, until it can be read again
    server_.count_refusal("the list of revoked certificates cannot be read");
    say_bye(ByeReason::kLeaving, "the list of revoked certificates cannot be read");
  }
}

// While others wait for room, one that trickles may not keep it for ever.
void GatewayPeer::check_upload(SteadyTime now) {
  const Upload& upload = node_->upload;
  if (!upload.has_room || !server_.is_room_scarce()) return;
  constexpr std::uint64_t kSlowest = 16 << 10;  // bytes a second
  const auto patience =
      milliseconds(server_.options().stall_ms) + std::chrono::seconds(upload.total / kSlowest);
  if (now - upload.since < patience) return;
  server_.drop_upload(*node_);
  say_bye(ByeReason::kLeaving, "the update is too slow while others wait");
}

void GatewayPeer::tick(SteadyTime now) {
  if (connection_->is_open() && node_ != nullptr) check_certificate(now);
  if (connection_->is_open() && node_ != nullptr) check_upload(now);
  connection_->tick(now);  // last: it may be the end
}

void GatewayPeer::end_handshake() {
  if (std::exchange(is_in_handshake_, false)) server_.handshake_ended();
}

void GatewayPeer::leave(const std::string& reason) {
  end_handshake();
  Node* const node = std::exchange(node_, nullptr);
  if (node != nullptr && node->peer == this) server_.left(*node, reason);
}

void GatewayPeer::say_bye(ByeReason reason, const std::string& text) {
  connection_->say_bye(reason, text);
  leave(text);
}

void GatewayPeer::broken(const std::string& text) {
  ++server_.counted().broken;
  say_bye(ByeReason::kProtocol, text);
}

void GatewayPeer::closed(const Closing& closing) {
  if (closing.how == Closing::How::kHandshake) server_.count_refusal(closing.text);
  leave(closing.how == Closing::How::kPeerBye ? text("said bye: ", closing.text) : closing.text);
  server_.remove(*this);  // deletes this
}

// ---- what it is asked

void GatewayPeer::give_task() {
  if (connection_->session().state() != SessionState::kIdle || node_ == nullptr) return;
  const auto& asked = node_->asked;
  if (asked == nullptr || asked == answered_ || node_->is_told) return;
  std::uint32_t left_ms = asked->deadline_ms;
  if (left_ms != 0) {
    const auto passed =
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - asked->asked_at)
            .count();
    left_ms = passed < left_ms ? left_ms - static_cast<std::uint32_t>(passed) : 1;
  }
  task_ = asked;
  declined_.reset();
  connection_->send(
      session::Task{asked->key, left_ms, asked->model_digest, asked->model->size(), asked->task});
}

bool GatewayPeer::is_wanted() const {
  return node_ != nullptr && node_->asked == task_ && node_->stage == Stage::kOpen;
}

bool GatewayPeer::is_waiting() const {
  const SessionState state = connection_->session().state();
  return state == SessionState::kOffered || state == SessionState::kDelivered;
}

bool GatewayPeer::waits_for_ack() const {
  return is_waiting() && node_ != nullptr && node_->asked == task_;
}

void GatewayPeer::drained() {
  if (connection_->session().state() != SessionState::kModel || node_ == nullptr) return;
  if (!is_wanted()) {
    // A node that asks for the model of a task that has its answer has forgotten it.
    if (node_->asked == task_) node_->is_told = true;
    return say_bye(ByeReason::kLeaving, "the task is over");
  }
  const auto& model = *task_->model;
  const auto offset = connection_->session().transferred_bytes();
  const auto count = std::min<std::uint64_t>(kPieceBytes, model.size() - offset);
  const auto from = model.begin() + static_cast<std::ptrdiff_t>(offset);
  session::ModelChunk chunk{offset, model.size(), {}};
  chunk.bytes.assign(from, from + static_cast<std::ptrdiff_t>(count));
  connection_->send(chunk);
  server_.counted().model_bytes += count;
}

// ---- what it says

void GatewayPeer::received(session::Message message) {
  if (const auto* hello = std::get_if<session::Hello>(&message)) return greet(*hello);
  if (const auto* offer = std::get_if<session::UpdateOffer>(&message)) return take_offer(*offer);
  if (const auto* chunk = std::get_if<session::UpdateChunk>(&message)) return take_chunk(*chunk);
  if (const auto* decline = std::get_if<session::Decline>(&message)) return take_decline(*decline);
}

void GatewayPeer::ack(AckStatus status, const std::string& reason) {
  connection_->send(session::Ack{task_->key, status, 0, printable(reason)});
  answered_ = std::exchange(task_, nullptr);
  give_task();
}

void GatewayPeer::say_verdict() { ack(node_->verdict, node_->verdict_reason); }

void GatewayPeer::say_late() {
  if (is_waiting() && node_ != nullptr && node_->asked != task_) ack(AckStatus::kLate);
}

void GatewayPeer::take_offer(const session::UpdateOffer& offer) {
  offer_ = offer;
  if (node_->asked != task_) return ack(AckStatus::kLate);
  if (node_->stage == Stage::kSettled)
    return node_->verdict == AckStatus::kApplied ? ack(AckStatus::kDuplicate) : say_verdict();
  if (node_->stage == Stage::kArrived) return;  // the owner has it; its verdict comes
  if (offer.total > server_.options().max_update_bytes) {
    return server_.refuse(*node_,
                          text("expected an update of at most ", server_.options().max_update_bytes,
                               " bytes, got ", offer.total));
  }
  if (node_->upload.digest != offer.update || node_->upload.total != offer.total) {
    server_.drop_upload(*node_);
    node_->upload = {offer.update, offer.total, {}, false};
  }
  server_.get_room(*node_);
}

void GatewayPeer::judge_answer() {
  if (!declined_) return take_offer(session::UpdateOffer(offer_));
  server_.refuse(*node_, std::string(*declined_));
}

void GatewayPeer::receive_update() {
  connection_->send(session::Ack{task_->key, AckStatus::kSendFrom, node_->upload.bytes.size(), {}});
}

void GatewayPeer::take_chunk(const session::UpdateChunk& chunk) {
  server_.counted().update_bytes += chunk.bytes.size();
  if (is_wanted()) {
    auto& bytes = node_->upload.bytes;
    if (chunk.bytes.size() > node_->upload.total - bytes.size())
      return broken(text("expected an update of ", node_->upload.total, " bytes, got more"));
    // Doubling would hold more than the room that was promised.
    if (bytes.capacity() < bytes.size() + chunk.bytes.size())
      bytes.reserve(
          std::min<std::uint64_t>(node_->upload.total, 2 * (bytes.size() + chunk.bytes.size())));
    bytes.insert(bytes.end(), chunk.bytes.begin(), chunk.bytes.end());
  }
  if (connection_->session().state() != SessionState::kDelivered) return;
  if (!is_wanted()) return ack(AckStatus::kLate);
  node_->stage = Stage::kArrived;
  node_->upload.has_room = false;  // the room goes with the bytes
  server_.mailbox().put(Arrival{task_->key, node_->upload.digest, std::move(node_->upload.bytes)});
  node_->upload = {};
}

void GatewayPeer::take_decline(const session::Decline& decline) {
  declined_ = decline.reason;
  if (is_wanted()) return server_.refuse(*node_, decline.reason);
  if (node_->asked != task_) return ack(AckStatus::kLate);
  if (node_->stage == Stage::kSettled) say_verdict();  // an arrived one: its verdict comes
}

}  // namespace coppice::gateway
