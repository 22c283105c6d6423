#pragma once
// One connection over the loopback interface, both ends on one io_context: an honest end, made of a
// TlsContext, and another that may be anything. What the honest one saw is what tests look at.

#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "comm/tls/authority.h"
#include "comm/tls/context.h"
#include "tests/comm_tls/forged.h"
#include "tests/coordinator/temporary_folder.h"

namespace coppice::tls {

// What the other end writes as soon as it may.
inline const std::string kApplicationBytes = "application bytes";

struct Saw {
  std::string error;           // of the handshake; empty: it was done
  std::string refusal;         // refusal_of()
  std::string bytes;           // of the application, as read
  std::string peer;            // uri_of() the peer; empty without one
  std::string version;         // "TLSv1.3"
  bool is_resumed = false;     // a session that was there before
  bool other_is_done = false;  // the other end's handshake was done, as far as it knows
  bool is_over = false;        // false: still waiting after 20 s
};

using AsioContext = boost::asio::ssl::context;

// `honest` accepts if `end` is the coordinator, and connects otherwise. Both write
// kApplicationBytes when their handshake is done; the honest end reads until it has as many.
Saw connect(End end, AsioContext& honest, AsioContext& other);

// The other end says `bytes` without any TLS.
Saw connect_raw(End end, AsioContext& honest, const std::string& bytes);

// An authority's folder, a node called edge-1 with its files, and contexts from them, at kNow.
class Enrolled {
 public:
  explicit Enrolled(const std::filesystem::path& folder, KeyType authority = KeyType::kP256,
                    KeyType node = KeyType::kP256);

  TlsFiles files(End end) const;
  std::unique_ptr<TlsContext> context(End end) const;
  std::filesystem::path authority_folder() const { return folder_ / "pki"; }
  Certificate authority_certificate() const;
  PrivateKey authority_key() const;

 private:
  std::filesystem::path folder_;
};

// A context without any checks of its peer, as an attacker would have. A null certificate: none.
std::unique_ptr<AsioContext> careless(End end, const Certificate* certificate,
                                      const PrivateKey* key);

}  // namespace coppice::tls
