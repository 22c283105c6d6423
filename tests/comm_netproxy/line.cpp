#include "tests/comm_netproxy/line.h"

#include "core/random.h"

namespace coppice::netproxy {

using boost::asio::ip::tcp;
using boost::system::error_code;

namespace {

tcp::endpoint loopback(std::uint16_t port) {
  return {boost::asio::ip::make_address("127.0.0.1"), port};
}

constexpr int kSocketBufferBytes = 64 * 1024;  // so that back pressure is felt soon

}  // namespace

Bytes bytes_of(std::size_t size, std::int64_t number) {
  RandomStream random({.seed = 5, .purpose = Purpose::kGenerated, .client = number});
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next_u32());
  return bytes;
}

Line::Line(const Scenario& scenario, std::uint64_t seed) : acceptor_(io_) {
  acceptor_.open(tcp::v4());
  acceptor_.set_option(boost::asio::socket_base::receive_buffer_size(kSocketBufferBytes));
  acceptor_.bind(loopback(0));
  acceptor_.listen();
  NetProxyOptions options;
  options.to_host = "127.0.0.1";
  options.to_port = acceptor_.local_endpoint().port();
  options.seed = seed;
  proxy_ = std::make_unique<NetProxy>(options, scenario);
  start_ = std::chrono::steady_clock::now();
  thread_ = std::thread([this] { proxy_->run(); });
}

Line::~Line() { counters(); }

NetProxyCounters Line::counters() {
  proxy_->stop();
  if (thread_.joinable()) thread_.join();
  return proxy_->counters();
}

std::chrono::nanoseconds Line::elapsed() const { return std::chrono::steady_clock::now() - start_; }

void Line::connect() {
  device_.emplace(io_);
  device_->open(tcp::v4());
  device_->set_option(boost::asio::socket_base::send_buffer_size(kSocketBufferBytes));
  device_->set_option(tcp::no_delay(true));
  device_->connect(loopback(proxy_->port()));
}

bool Line::accept(std::chrono::nanoseconds within) {
  coordinator_.reset();
  bool is_done = false;
  acceptor_.async_accept([&](const error_code& error, Socket socket) {
    is_done = true;
    if (!error) coordinator_.emplace(std::move(socket));
  });
  const auto until = std::chrono::steady_clock::now() + within;
  io_.restart();
  while (!is_done && io_.run_one_until(until) != 0) {
  }
  if (!is_done) acceptor_.cancel();
  while (!is_done) io_.run_one();
  return coordinator_.has_value();
}

void Line::send(Socket& socket, const Bytes& bytes) {
  write_some(socket, std::make_shared<const Bytes>(bytes), 0);
}

void Line::write_some(Socket& socket, const std::shared_ptr<const Bytes>& bytes, std::size_t from) {
  socket.async_write_some(boost::asio::buffer(*bytes) + from,
                          [this, &socket, bytes, from](const error_code& error, std::size_t size) {
                            sent_ += size;
                            if (!error && from + size < bytes->size())
                              write_some(socket, bytes, from + size);
                          });
}

Line::Received Line::receive(Socket& socket, std::size_t size, std::chrono::nanoseconds within) {
  Received received;
  received.bytes.resize(size);
  bool is_done = false;
  boost::asio::async_read(
      socket, boost::asio::buffer(received.bytes), [&](const error_code& error, std::size_t got) {
        is_done = true;
        received.bytes.resize(got);
        received.has_ended = error && error != boost::asio::error::operation_aborted;
        received.is_reset = error == boost::asio::error::connection_reset;
      });
  const auto until = std::chrono::steady_clock::now() + within;
  io_.restart();
  while (!is_done && io_.run_one_until(until) != 0) {
  }
  if (!is_done) socket.cancel();  // of writes as well; those have ended or do not matter
  while (!is_done) io_.run_one();
  return received;
}

}  // namespace coppice::netproxy
