#pragma once
// What OpenSSL reads and writes through: a non-blocking socket, without the signal that a write to
// a closed one raises, and with counters of what really went over the wire. Private to
// comm/gateway. One thread.
//
// boost::asio::ssl::stream would keep 68 KiB of buffers for every connection; with OpenSSL on the
// socket itself, waits come from Asio and an idle connection keeps no buffers at all.

#include <openssl/ssl.h>

#include <cstdint>  // for uint64_t
#include <memory>   // for unique_ptr

namespace coppice::gateway {

struct WireBytes {
  std::uint64_t in = 0;  // with TLS's records, without TCP's headers
  std::uint64_t out = 0;
};

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslHandle = std::unique_ptr<SSL, SslFree>;

// A connection of `context` on `socket`, which is not closed with it. `bytes` outlives the handle.
// Throws CommError.
SslHandle make_ssl(SSL_CTX* context, int socket, WireBytes& bytes);

}  // namespace coppice::gateway
