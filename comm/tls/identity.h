#pragma once
// Who is who between a coordinator and its edge devices: private keys, requests for certificates,
// certificates that carry one name, and the authority's list of those that are revoked. X.509 v3 on
// OpenSSL 3; files are PEM.
//
// A key is made on the device that owns it and leaves it never: what travels is a request, which
// proves that its sender has the key. A certificate is for one end only: a node's may open
// connections (clientAuth), the coordinator's may accept them (serverAuth), so that no device can
// pretend to be the coordinator.
//
// Values; any thread may use its own. Times are seconds since 1970, always passed in. Text or bytes
// that are not what they should be throw DataError with `what` they were said to be; OpenSSL's own
// failures are CommError. No message contains key material.

#include <array>        // for array
#include <cstdint>      // for int64_t
#include <memory>       // for unique_ptr
#include <optional>     // for optional
#include <set>          // for set
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

struct evp_pkey_st;  // OpenSSL's EVP_PKEY, X509 and X509_REQ
struct x509_st;
struct X509_req_st;

namespace coppice::tls {

// ---- names

// The name in a certificate: the coordinator, or the node called `node`.
struct Identity {
  enum class Role : std::uint8_t { kCoordinator, kNode };

  Role role = Role::kNode;
  std::string node = {};  // as core/node_id.h has it; empty for the coordinator

  friend bool operator==(const Identity&, const Identity&) = default;
};

// "coppice:coordinator", "coppice:node:ID": the URI in the subject's alternative name.
std::string uri_of(const Identity& identity);
std::optional<Identity> identity_of(std::string_view uri);  // nothing if it is neither

// ---- keys

enum class KeyType : std::uint8_t { kP256, kEd25519 };
std::string_view name_of(KeyType type);         // "p256", "ed25519"
KeyType key_type_named(std::string_view name);  // ConfigError for any other name

struct KeyFree {
  void operator()(evp_pkey_st* key) const;  // wipes it
};

// A private key in memory.
class PrivateKey {
 public:
  static PrivateKey generate(KeyType type = KeyType::kP256);

  // PKCS#8 in PEM, not encrypted, of one of the two types, whose halves belong together.
  static PrivateKey from_pem(std::string_view pem, std::string_view what);

  std::string pem() const;  // a secret: for write_private_file() alone
  KeyType type() const;
  evp_pkey_st* get() const { return key_.get(); }

 private:
  explicit PrivateKey(evp_pkey_st* key) : key_(key) {}

  std::unique_ptr<evp_pkey_st, KeyFree> key_;
};

// ---- certificates

struct Validity {
  std::int64_t not_before_s = 0;  // seconds since 1970, the first and the last that count
  std::int64_t not_after_s = 0;

  friend bool operator==(const Validity&, const Validity&) = default;
};

struct CertificateFree {
  void operator()(x509_st* certificate) const;
};

class Certificate {
 public:
  // Reads one certificate of at most 16 KiB. Its signature is not looked at.
  static Certificate from_pem(std::string_view pem, std::string_view what);
  // Takes over a reference to OpenSSL's own object, which is not null.
  explicit Certificate(x509_st* certificate) : certificate_(certificate) {}

  std::string pem() const;
  // Nothing unless it has exactly one alternative name, a URI that is an identity.
  std::optional<Identity> identity() const;
  std::string serial() const;       // lower-case hexadecimal
  std::string fingerprint() const;  // SHA-256 of its DER, lower-case hexadecimal
  Validity validity() const;
  bool is_signed_by(const Certificate& authority) const;  // the signature alone
  bool belongs_to(const PrivateKey& key) const;
  x509_st* get() const { return certificate_.get(); }

 private:
  std::unique_ptr<x509_st, CertificateFree> certificate_;
};

struct RequestFree {
  void operator()(X509_req_st* request) const;
};

// What a device sends to be given a certificate (PKCS#10): its public key and the name it asks for,
// signed with its key. Whatever else it asks for is not granted.
class CertificateRequest {
 public:
  static CertificateRequest make(const PrivateKey& key, const std::string& node);

  // At most 16 KiB; a key of one of the two types, a signature by that key, a common name that is
  // a node's.
  static CertificateRequest from_pem(std::string_view pem, std::string_view what);

  std::string pem() const;
  const std::string& node() const { return node_; }
  std::string key_fingerprint() const;  // SHA-256 of the public key's DER
  X509_req_st* get() const { return request_.get(); }

 private:
  CertificateRequest(X509_req_st* request, std::string node)
      : request_(request), node_(std::move(node)) {}

  std::unique_ptr<X509_req_st, RequestFree> request_;
  std::string node_;
};

// A certificate of an authority, signed by itself: it may sign certificates and lists, and no
// further authorities (path length 0). Its name has 64 random bits, so that two authorities are
// told apart.
Certificate make_authority(const PrivateKey& key, const Validity& validity);

// A certificate for the key of `request` and the node it names: clientAuth alone. `validity` must
// lie inside the authority's (ConfigError).
Certificate sign_node(const CertificateRequest& request, const Validity& validity,
                      const Certificate& authority, const PrivateKey& authority_key);
// The same for the coordinator: serverAuth alone. Its key lies where the authority's does, so there
// is no request.
Certificate sign_coordinator(const PrivateKey& key, const Validity& validity,
                             const Certificate& authority, const PrivateKey& authority_key);

// ---- revocation

// The serial numbers that an authority has taken back (an X.509 CRL, signed by it).
class RevocationList {
 public:
  // `number` grows with every list of an authority.
  static std::string make_pem(const std::set<std::string>& serials, std::int64_t number,
                              std::int64_t now_s, const Certificate& authority,
                              const PrivateKey& authority_key);

  // At most 4 MiB, some 100,000 serials. DataError unless `authority` signed it.
  static RevocationList from_pem(std::string_view pem, const Certificate& authority,
                                 std::string_view what);

  bool contains(const std::string& serial) const { return serials_.contains(serial); }
  std::size_t size() const { return serials_.size(); }
  std::int64_t number() const { return number_; }

 private:
  std::set<std::string> serials_;
  std::int64_t number_ = 0;
};

// 256 bits that nobody can predict, from OpenSSL's generator for secrets.
std::array<std::uint8_t, 32> secret_bytes();

}  // namespace coppice::tls
