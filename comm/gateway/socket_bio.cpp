#include "comm/gateway/socket_bio.h"

#include <openssl/bio.h>
#include <sys/socket.h>

#include <cerrno>  // for errno

#include "core/error.h"

namespace coppice::gateway {
namespace {

struct SocketEnd {
  int socket = -1;
  WireBytes* bytes = nullptr;
};

SocketEnd& end_of(BIO* bio) { return *static_cast<SocketEnd*>(BIO_get_data(bio)); }

bool is_to_be_tried_again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int write_socket(BIO* bio, const char* bytes, int count) {
  BIO_clear_retry_flags(bio);
  const auto done =
      ::send(end_of(bio).socket, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL);
  if (done < 0 && is_to_be_tried_again()) BIO_set_retry_write(bio);
  if (done > 0) end_of(bio).bytes->out += static_cast<std::uint64_t>(done);
  return static_cast<int>(done);
}

int read_socket(BIO* bio, char* bytes, int count) {
  BIO_clear_retry_flags(bio);
  const auto done = ::recv(end_of(bio).socket, bytes, static_cast<std::size_t>(count), 0);
  if (done < 0 && is_to_be_tried_again()) BIO_set_retry_read(bio);
  if (done == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  if (done > 0) end_of(bio).bytes->in += static_cast<std::uint64_t>(done);
  return static_cast<int>(done);
}

long control(BIO* bio, int command, long /*number*/,
             void* /*pointer*/) {  // NOLINT(google-runtime-int)
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

int destroy(BIO* bio) {
  const std::unique_ptr<SocketEnd> owned(&end_of(bio));
  BIO_set_data(bio, nullptr);
  return 1;
}

struct MethodFree {
  void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
};

const BIO_METHOD* socket_method() {
  static const std::unique_ptr<BIO_METHOD, MethodFree> kMethod = [] {
    std::unique_ptr<BIO_METHOD, MethodFree> method(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "coppice socket"));
    if (method == nullptr || BIO_meth_set_write(method.get(), write_socket) != 1 ||
        BIO_meth_set_read(method.get(), read_socket) != 1 ||
        BIO_meth_set_ctrl(method.get(), control) != 1 ||
        BIO_meth_set_destroy(method.get(), destroy) != 1)
      throw CommError("OpenSSL has no room for a BIO method");
    return method;
  }();
  return kMethod.get();
}

}  // namespace

SslHandle make_ssl(SSL_CTX* context, int socket, WireBytes& bytes) {
  SslHandle ssl(SSL_new(context));
  BIO* const bio = BIO_new(socket_method());
  if (ssl == nullptr || bio == nullptr) {
    BIO_free(bio);
    throw CommError("OpenSSL has no room for a connection");
  }
  BIO_set_data(bio, std::make_unique<SocketEnd>(SocketEnd{socket, &bytes}).release());
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);
  SSL_set_mode(ssl.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
  SSL_set_read_ahead(ssl.get(), 1);
  return ssl;
}

}  // namespace coppice::gateway
