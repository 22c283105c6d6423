#include "tests/comm_gateway/fleet.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/write.hpp>
#include <fstream>

#include "core/error.h"
#include "core/random.h"

namespace coppice::gateway {

using boost::asio::ip::tcp;
using boost::system::error_code;

namespace {

tcp::endpoint loopback(std::uint16_t port) {
  return {boost::asio::ip::address_v4::loopback(), port};
}

void be_patient(tcp::socket& socket, milliseconds patience) {
  const timeval limit{patience.count() / 1000, (patience.count() % 1000) * 1000};
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

}  // namespace

Bytes some_bytes(std::size_t count, std::uint64_t seed) {
  RandomStream random({seed, Purpose::kGenerated});
  Bytes bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next_u32());
  return bytes;
}

Model some_model(std::size_t count, std::uint64_t seed) {
  return std::make_shared<const Bytes>(some_bytes(count, seed));
}

session::Sha256Digest digest_of(const Bytes& bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

// ---- the fleet

// As an authority's folder would be, without its ledger and its syncs to the disk.
Fleet::Fleet(int nodes) : nodes_(nodes), authority_key_(tls::PrivateKey::generate()) {
  std::string folder = testing::TempDir() + "fleet.XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) throw Error("no folder for a fleet");
  folder_ = folder;
  const tls::Validity validity{kNow - 3600, kNow + 90 * 86400};
  authority_ = tls::make_authority(authority_key_, validity);
  write(coordinator().authority, authority_->pem());
  write_list({}, 1);
  const auto key = tls::PrivateKey::generate();
  write(coordinator().key, key.pem());
  write(coordinator().certificate,
        tls::sign_coordinator(key, validity, *authority_, authority_key_).pem());
  for (int i = 0; i < nodes; ++i) {
    const auto own = tls::PrivateKey::generate();
    const auto certificate = tls::sign_node(tls::CertificateRequest::make(own, name(i)), validity,
                                            *authority_, authority_key_);
    serials_.push_back(certificate.serial());
    write(node(i).key, own.pem());
    write(node(i).certificate, certificate.pem());
  }
}

void Fleet::write(const std::filesystem::path& path, const std::string& content) {
  // Renamed into its place: others may read it at the moment.
  const auto beside = path.string() + ".new";
  std::ofstream(beside, std::ios::binary) << content;
  std::filesystem::permissions(beside, std::filesystem::perms(0600));
  std::filesystem::rename(beside, path);
}

void Fleet::write_list(const std::set<std::string>& serials, std::int64_t number) {
  write(coordinator().revocation_list,
        tls::RevocationList::make_pem(serials, number, kNow, *authority_, authority_key_));
}

Fleet::~Fleet() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::vector<std::string> Fleet::names() const {
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(nodes_));
  for (int i = 0; i < nodes_; ++i) names.push_back(name(i));
  return names;
}

tls::TlsFiles Fleet::coordinator() const {
  return {folder_ / "ca.crt", folder_ / "coordinator.crt", folder_ / "coordinator.key",
          folder_ / "revoked.crl"};
}

tls::TlsFiles Fleet::node(int node) const {
  return {folder_ / "ca.crt", folder_ / (name(node) + ".crt"), folder_ / (name(node) + ".key"),
          folder_ / "revoked.crl"};
}

void Fleet::revoke(int node) { write_list({serials_[static_cast<std::size_t>(node)]}, 2); }

GatewayOptions Fleet::options() const {
  GatewayOptions options;
  options.files = coordinator();
  options.clock = [] { return kNow; };
  return options;
}

NodeLinkOptions Fleet::link(int node, std::uint16_t port) const {
  NodeLinkOptions options;
  options.node.port = port;
  options.node.run = kRun;
  options.node.backoff_min_ms = 1;
  options.node.backoff_max_ms = 20;
  options.node.seed = static_cast<std::uint64_t>(node);
  options.files = this->node(node);
  options.clock = [] { return kNow; };
  return options;
}

// ---- the coordinator

void Coordinator::open_for(std::int64_t round, const std::vector<int>& nodes, const Model& model) {
  std::vector<Question> questions;
  questions.reserve(nodes.size());
  for (const int node : nodes)
    questions.push_back({Fleet::name(node), {static_cast<std::uint8_t>(round), 1}, model});
  gateway.open(round, std::move(questions));
}

void Coordinator::open(std::int64_t round, const Model& model) {
  std::vector<int> nodes(names_.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<int>(i);
  open_for(round, nodes, model);
}

GatewayCounters Coordinator::until(const std::function<bool(const GatewayCounters&)>& is_right) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const GatewayCounters counters = gateway.counters();
    if (is_right(counters)) return counters;
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << "the counters never became what was expected";
      return counters;
    }
    if (auto event = gateway.next(milliseconds(1))) kept_.push_back(std::move(*event));
  }
}

// ---- devices

Device::Device(const NodeLinkOptions& options, std::function<NodeAnswer(const NodeWork&)> work)
    : link_(options) {
  NodeHandlers handlers;
  handlers.work = std::move(work);
  handlers.settled = [this](const session::UpdateKey& /*key*/, session::AckStatus status,
                            const std::string& reason) {
    const std::lock_guard lock(mutex_);
    settled_.push_back(status);
    reasons_.push_back(reason);
  };
  end_ = std::async(std::launch::async,
                    [this, handlers = std::move(handlers)] { return link_.run(handlers); });
}

Device::~Device() {
  link_.stop();
  if (end_.valid()) end_.wait();
}

NodeEnd Device::end() {
  if (end_.wait_for(kPatience) == std::future_status::ready) return end_.get();
  ADD_FAILURE() << "the device does not end";
  return {};
}

std::vector<session::AckStatus> Device::settled() const {
  const std::lock_guard lock(mutex_);
  return settled_;
}

std::vector<std::string> Device::reasons() const {
  const std::lock_guard lock(mutex_);
  return reasons_;
}

ScriptedNode::ScriptedNode(const Fleet& fleet, int node, std::uint16_t port)
    : tls_(tls::End::kNode, fleet.node(node), [] { return kNow; }),
      stream_(std::make_unique<Stream>(io_, tls_.asio())),
      buffer_(65536) {
  stream_->next_layer().connect(loopback(port));
  stream_->next_layer().set_option(tcp::no_delay(true));
  be_patient(stream_->next_layer(), kPatience);
  stream_->handshake(Stream::client);
}

void ScriptedNode::enroll() {
  send(session::Hello{});
  receive<session::Welcome>();
}

void ScriptedNode::send(const session::Message& message) {
  const Bytes frame = session::encode(message);
  if (session::may_send(session_.state(), session::type_of(message), session::Side::kNode))
    session_.accept(session::Side::kNode, message);
  send_raw(frame);
}

void ScriptedNode::send_raw(const Bytes& bytes) {
  error_code ignored;  // the other end may have had enough
  boost::asio::write(*stream_, boost::asio::buffer(bytes), ignored);
}

std::optional<session::Message> ScriptedNode::receive_any() {
  for (;;) {
    auto frame = parser_.next(rest_, session_.caps(session::Side::kCoordinator));
    if (!frame) {
      error_code error;
      const std::size_t count = stream_->read_some(boost::asio::buffer(buffer_), error);
      if (error) return std::nullopt;
      rest_ = std::span<const std::uint8_t>(buffer_).first(count);
      continue;
    }
    auto message = session::decode(frame->type, frame->payload);
    session_.accept(session::Side::kCoordinator, message);
    if (!std::holds_alternative<session::Heartbeat>(message)) return message;
  }
}

void ScriptedNode::download(const session::Task& task) {
  send(session::ModelRequest{task.model, 0});
  Bytes model;
  while (model.size() < task.model_bytes) {
    const auto chunk = receive<session::ModelChunk>();
    if (chunk.bytes.empty()) return;
    model.insert(model.end(), chunk.bytes.begin(), chunk.bytes.end());
  }
  EXPECT_EQ(digest_of(model), task.model);
}

session::Task ScriptedNode::take_task() {
  const auto task = receive<session::Task>();
  download(task);
  return task;
}

void ScriptedNode::offer(const session::Task& task, const Bytes& update) {
  send(session::UpdateOffer{task.key, update.size(), digest_of(update)});
}

void ScriptedNode::upload(const Bytes& update, std::uint64_t from) {
  for (std::uint64_t at = from; at < update.size(); at += session::kChunkBytes) {
    const auto count = std::min<std::uint64_t>(session::kChunkBytes, update.size() - at);
    const auto begin = update.begin() + static_cast<std::ptrdiff_t>(at);
    send(session::UpdateChunk{at, update.size(),
                              Bytes(begin, begin + static_cast<std::ptrdiff_t>(count))});
  }
}

PlainPeer::PlainPeer(std::uint16_t port) { socket_.connect(loopback(port)); }

void PlainPeer::send(const Bytes& bytes) {
  error_code ignored;
  boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
}

bool PlainPeer::is_closed_within(milliseconds patience) {
  be_patient(socket_, patience);
  Bytes buffer(4096);
  for (;;) {
    error_code error;
    socket_.read_some(boost::asio::buffer(buffer), error);
    if (error) return error != boost::asio::error::would_block;
  }
}

// ---- the relay

struct Relay::Line {
  Line(boost::asio::io_context& io, tcp::socket socket)
      : ends{tcp::socket(io), std::move(socket)} {}
  // [1]: the node's. Bytes that go up are read from it and written to [0].
  tcp::socket ends[2];
  std::array<std::uint8_t, 4096> buffers[2];
};

Relay::Relay(std::uint16_t target)
    : acceptor_(io_, loopback(0)), target_(target), port_(acceptor_.local_endpoint().port()) {
  accept();
  thread_ = std::thread([this] { io_.run(); });
}

Relay::~Relay() {
  io_.stop();
  thread_.join();
}

void Relay::accept() {
  acceptor_.async_accept([this](const error_code& error, tcp::socket socket) {
    if (error) return;
    const auto line = std::make_shared<Line>(io_, std::move(socket));
    error_code refused;
    line->ends[0].connect(loopback(target_), refused);
    if (!refused) {
      for (auto& end : line->ends) end.set_option(tcp::no_delay(true));
      lines_.push_back(line);
      forward(line, true);
      forward(line, false);
    }
    accept();
  });
}

void Relay::forward(const std::shared_ptr<Line>& line, bool is_up) {
  const auto way = static_cast<std::size_t>(is_up);
  line->ends[way].async_read_some(
      boost::asio::buffer(line->buffers[way]),
      [this, line, is_up, way](const error_code& error, std::size_t count) {
        error_code ignored;
        if (error) {
          line->ends[1 - way].shutdown(tcp::socket::shutdown_send, ignored);
          return;
        }
        if (is_held_) return held_.push_back(line);
        const auto sent = std::min<std::uint64_t>(count, left_[way]);
        boost::asio::write(line->ends[1 - way],
                           boost::asio::buffer(line->buffers[way].data(), sent), ignored);
        if (left_[way] != UINT64_MAX) left_[way] -= sent;
        if (left_[way] != 0) return forward(line, is_up);
        left_[way] = UINT64_MAX;
        cut_lines();
      });
}

void Relay::cut_lines() {
  ++cuts_;
  for (const auto& weak : lines_) {
    if (const auto line = weak.lock()) {
      error_code ignored;
      for (auto& end : line->ends) end.close(ignored);
    }
  }
  lines_.clear();
}

void Relay::cut_after_up(std::uint64_t bytes) {
  boost::asio::post(io_, [this, bytes] { left_[1] = bytes; });
}
void Relay::cut_after_down(std::uint64_t bytes) {
  boost::asio::post(io_, [this, bytes] { left_[0] = bytes; });
}
void Relay::cut_all() {
  boost::asio::post(io_, [this] { cut_lines(); });
}
void Relay::hold() {
  boost::asio::post(io_, [this] { is_held_ = true; });
}

}  // namespace coppice::gateway
