#pragma once
// The folder from which a coordinator's nodes get their certificates:
//   ca.key, ca.crt                     the authority's own; the key never leaves the folder
//   coordinator.key, coordinator.crt   what the coordinator shows to nodes
//   revoked.crl                        serials taken back, signed; read anew when it changes
//   ledger.json                        tokens (their hashes) and certificates, comm/tls/ledger.h
//   lock                               held while the folder is being changed
// All are mode 0600 in a folder of mode 0700; nodes are given copies of ca.crt, revoked.crl and
// their certificate.
//
// A call takes the lock, reads the ledger, and commits by replacing it, so that calls of other
// threads and processes come before or after as a whole. The ledger decides: a certificate exists
// once it is in there, and the list of revoked ones is written from it. Errors: ConfigError (wrong
// use, no folder), DataError (a file is missing, damaged or readable by others).

#include <cstdint>     // for int64_t
#include <filesystem>  // for path
#include <optional>    // for optional
#include <string>      // for string

#include "comm/tls/identity.h"
#include "comm/tls/ledger.h"
#include "comm/tls/token.h"

namespace coppice::tls {

// Certificates count from this long before they were signed, for devices whose clocks are behind.
inline constexpr std::int64_t kBackdatingSeconds = 3600;

struct AuthorityOptions {
  KeyType key_type = KeyType::kP256;
  std::int64_t valid_s = std::int64_t{3650} * 86400;  // of the authority and the coordinator
};

struct SignedCertificate {
  TokenVerdict verdict = TokenVerdict::kUnknown;
  std::string pem = {};  // empty unless the verdict is kGood or kRepeated
};

class Authority {
 public:
  // Makes keys, certificates, an empty list and an empty ledger in a folder that is missing or
  // empty. What a killed call leaves has no ledger, and is refused by all others.
  static void create(const std::filesystem::path& folder, const AuthorityOptions& options,
                     std::int64_t now_s);

  // Throws DataError unless everything is there and belongs together.
  explicit Authority(std::filesystem::path folder);

  // A token for one certificate of `node`, in the clear: show it once and forget it.
  std::string issue_token(const std::string& node, std::int64_t now_s, std::int64_t lifetime_s);

  // Signs `request` if `token` is good for its node, and uses the token up, in one commit. Killed
  // before, nothing has happened; after, the same request with the same token gets the same
  // certificate again, so one that was lost on its way is not lost. A certificate that would
  // outlive the authority ends with it; one that would not live is a ConfigError.
  SignedCertificate sign(const CertificateRequest& request, std::string_view token,
                         std::int64_t now_s, std::int64_t valid_s);

  // Takes back every certificate of `node` that has not run out, and its unused tokens. Returns how
  // many certificates there were; ConfigError if the authority never heard of the node. Called
  // again it only writes the list again.
  std::int64_t revoke(const std::string& node, std::int64_t now_s);

  Ledger ledger() const;

 private:
  Ledger read_ledger() const;
  void commit(const Ledger& ledger) const;
  void write_list(const Ledger& ledger, std::int64_t now_s) const;

  std::filesystem::path folder_;
  PrivateKey key_;
  Certificate certificate_;
};

}  // namespace coppice::tls
