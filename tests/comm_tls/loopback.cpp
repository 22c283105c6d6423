#include "tests/comm_tls/loopback.h"

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "comm/tls/openssl.h"
#include "comm/tls/private_file.h"

namespace coppice::tls {
namespace {

using boost::asio::ip::tcp;
using Stream = boost::asio::ssl::stream<tcp::socket>;
using Error = boost::system::error_code;

constexpr auto kPatience = std::chrono::seconds(20);

// A connected pair; the kernel picks the port.
struct Sockets {
  explicit Sockets(boost::asio::io_context& io) : accepting(io), connecting(io) {
    tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
    connecting.connect(acceptor.local_endpoint());
    acceptor.accept(accepting);
  }
  tcp::socket accepting;
  tcp::socket connecting;
};

class HonestEnd {
 public:
  HonestEnd(tcp::socket socket, AsioContext& context, End end, Saw& saw)
      : stream_(std::move(socket), context), saw_(saw) {
    const auto type = end == End::kCoordinator ? Stream::server : Stream::client;
    stream_.async_handshake(type, [this](Error error) { after_handshake(error); });
  }

 private:
  void after_handshake(const Error& error) {
    saw_.refusal = refusal_of(stream_.native_handle());
    if (error) {
      saw_.error = error.message();
      close();
      return;
    }
    saw_.peer = uri_of(peer_of(stream_.native_handle()).identity);
    saw_.version = SSL_get_version(stream_.native_handle());
    saw_.is_resumed = SSL_session_reused(stream_.native_handle()) == 1;
    boost::asio::async_write(stream_, boost::asio::buffer(kApplicationBytes),
                             [this](Error, std::size_t) { read(); });
  }

  void read() {
    stream_.async_read_some(boost::asio::buffer(buffer_), [this](Error error, std::size_t count) {
      saw_.bytes.append(buffer_.data(), count);
      if (error || saw_.bytes.size() >= kApplicationBytes.size()) return close();
      read();
    });
  }

  void close() {
    Error ignored;
    stream_.lowest_layer().close(ignored);
  }

  Stream stream_;
  std::array<char, 256> buffer_{};
  Saw& saw_;
};

// Writes as soon as it may, then reads whatever comes, so that it ends when the honest end closes.
template <typename AnyStream>
class OtherEnd {
 public:
  explicit OtherEnd(AnyStream stream) : stream_(std::move(stream)) {}

  void say(const std::string& bytes) {
    bytes_ = bytes;
    boost::asio::async_write(stream_, boost::asio::buffer(bytes_),
                             [this](Error, std::size_t) { read(); });
  }

  AnyStream& stream() { return stream_; }

 private:
  void read() {
    stream_.async_read_some(boost::asio::buffer(buffer_), [this](Error error, std::size_t) {
      if (!error) read();
    });
  }

  AnyStream stream_;
  std::string bytes_;
  std::array<char, 4096> buffer_{};
};

}  // namespace

Saw connect(End end, AsioContext& honest, AsioContext& other) {
  boost::asio::io_context io;
  Sockets sockets(io);
  const bool accepts = end == End::kCoordinator;
  Saw saw;
  HonestEnd one(std::move(accepts ? sockets.accepting : sockets.connecting), honest, end, saw);
  OtherEnd<Stream> two(Stream(std::move(accepts ? sockets.connecting : sockets.accepting), other));
  two.stream().async_handshake(accepts ? Stream::client : Stream::server, [&](Error error) {
    saw.other_is_done = !error;
    if (!error) return two.say(kApplicationBytes);
    Error ignored;
    two.stream().lowest_layer().close(ignored);
  });
  io.run_for(kPatience);
  saw.is_over = io.stopped();
  return saw;
}

Saw connect_raw(End end, AsioContext& honest, const std::string& bytes) {
  boost::asio::io_context io;
  Sockets sockets(io);
  const bool accepts = end == End::kCoordinator;
  Saw saw;
  HonestEnd one(std::move(accepts ? sockets.accepting : sockets.connecting), honest, end, saw);
  OtherEnd<tcp::socket> two(std::move(accepts ? sockets.connecting : sockets.accepting));
  two.say(bytes);
  io.run_for(kPatience);
  saw.is_over = io.stopped();
  return saw;
}

Enrolled::Enrolled(const std::filesystem::path& folder, KeyType authority, KeyType node)
    : folder_(folder) {
  Authority::create(authority_folder(), {.key_type = authority}, kNow);
  Authority opened(authority_folder());
  const std::string token = opened.issue_token("edge-1", kNow, kDay);
  const PrivateKey key = PrivateKey::generate(node);
  const auto made = opened.sign(CertificateRequest::make(key, "edge-1"), token, kNow, 90 * kDay);
  write_private_file(folder_ / "node.key", key.pem());
  write_private_file(folder_ / "node.crt", made.pem);
}

TlsFiles Enrolled::files(End end) const {
  const auto pki = authority_folder();
  if (end == End::kCoordinator)
    return {pki / "ca.crt", pki / "coordinator.crt", pki / "coordinator.key", pki / "revoked.crl"};
  return {pki / "ca.crt", folder_ / "node.crt", folder_ / "node.key", pki / "revoked.crl"};
}

std::unique_ptr<TlsContext> Enrolled::context(End end) const {
  return std::make_unique<TlsContext>(end, files(end), [] { return kNow; });
}

Certificate Enrolled::authority_certificate() const {
  return Certificate::from_pem(content_of(authority_folder() / "ca.crt"), "ca.crt");
}

PrivateKey Enrolled::authority_key() const {
  return PrivateKey::from_pem(content_of(authority_folder() / "ca.key"), "ca.key");
}

std::unique_ptr<AsioContext> careless(End end, const Certificate* certificate,
                                      const PrivateKey* key) {
  auto context = std::make_unique<AsioContext>(end == End::kCoordinator ? AsioContext::tls_server
                                                                        : AsioContext::tls_client);
  SSL_CTX* const handle = context->native_handle();
  COPPICE_OPENSSL(SSL_CTX_set_cipher_list(handle, "ALL:@SECLEVEL=0") == 1);
  COPPICE_OPENSSL(SSL_CTX_set_min_proto_version(handle, TLS1_VERSION) == 1);
  if (certificate != nullptr) {
    COPPICE_OPENSSL(SSL_CTX_use_certificate(handle, certificate->get()) == 1);
    COPPICE_OPENSSL(SSL_CTX_use_PrivateKey(handle, key->get()) == 1);
  }
  return context;
}

}  // namespace coppice::tls
