#pragma once
// TLS for both ends of a connection between a node and the coordinator: version 1.3 and no other,
// a certificate demanded of both, and a peer that is let through only if
//   its certificate is signed by the authority, directly, and counts now,
//   its usage is its end's (a node's clientAuth, the coordinator's serverAuth) and no other,
//   its one name is a node's, or the coordinator's,
//   its serial is not on the authority's list of revoked ones, as that file is now.
// Anything else, also a list that cannot be read, ends the handshake before a byte of the
// application is read: the accepting side reads none before its handshake is done, and a 1.3
// client sends none before it has checked the server.
//
// No sessions are resumed: there are no tickets, no cache and no early data, so that every
// connection is checked from the start, against the list as it is then. Devices connect once and
// stay; a handshake costs them under a millisecond of arithmetic.
//
// A TlsContext belongs to the thread of its io_context, and outlives the streams made from it.

#include <cstdint>     // for int64_t
#include <filesystem>  // for path
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <string>      // for string

#include "comm/tls/identity.h"

namespace boost::asio::ssl {
class context;
}
struct ssl_st;  // OpenSSL's SSL

namespace coppice::tls {

enum class End : std::uint8_t { kCoordinator, kNode };  // which one this process is

// Seconds since 1970; asked at every handshake.
using UnixClock = std::function<std::int64_t()>;
UnixClock or_system_clock(UnixClock clock);  // the system's instead of an empty one

// Where an end's own files are. The key must be for the owner alone, and the certificate its own.
struct TlsFiles {
  std::filesystem::path authority;        // ca.crt
  std::filesystem::path certificate;      // coordinator.crt, node.crt
  std::filesystem::path key;              // coordinator.key, node.key
  std::filesystem::path revocation_list;  // revoked.crl; read again when it has changed
};

// The authority's list as its file is at the moment. Not to be shared between threads.
class RevocationFile {
 public:
  // Reads it. Throws DataError if it is missing or not the authority's.
  RevocationFile(std::filesystem::path path, Certificate authority);
  ~RevocationFile();

  // Looks whether the file has changed (one stat) and reads it again if so. Throws DataError as
  // above, and if its number is lower than one seen before: a list only grows.
  bool contains(const std::string& serial);

 private:
  struct Stamp;
  void read_if_changed();

  std::filesystem::path path_;
  Certificate authority_;
  RevocationList list_;
  std::unique_ptr<Stamp> stamp_;
};

// The one who is at the other end.
struct Peer {
  Identity identity;
  std::string serial;
  std::string fingerprint;       // of the certificate
  std::int64_t not_after_s = 0;  // when it ends: a session may outlive it otherwise

  friend bool operator==(const Peer&, const Peer&) = default;
};

class TlsContext {
 public:
  // Reads the files. Throws DataError for one that is missing, damaged, or does not belong to the
  // others (a node's certificate at the coordinator's end, another authority's, a foreign key).
  TlsContext(End end, const TlsFiles& files, UnixClock clock);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // For boost::asio::ssl::stream. Do not set its verify mode or callback: they are set.
  boost::asio::ssl::context& asio();

  // For sessions that are open already: false once the peer's certificate is revoked or has ended.
  // Throws DataError if the list cannot be read.
  bool is_still_good(const Peer& peer);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Who is at the other end of a connection whose handshake is done (stream.native_handle()). Throws
// CommError if it is not done.
Peer peer_of(ssl_st* connection);

// Why this end refused the other's certificate: "certificate revoked", "the certificate's name is
// not one of a node"; empty if it did not.
std::string refusal_of(ssl_st* connection);

}  // namespace coppice::tls
