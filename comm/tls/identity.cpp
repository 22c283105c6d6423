#include "comm/tls/identity.h"

#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "comm/tls/openssl.h"
#include "core/error.h"
#include "core/node_id.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

constexpr std::string_view kCoordinatorUri = "coppice:coordinator";
constexpr std::string_view kNodePrefix = "coppice:node:";
constexpr std::size_t kMaxKeyPemBytes = 4096;

std::optional<KeyType> type_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return KeyType::kEd25519;
  if (EVP_PKEY_is_a(key, "EC") != 1) return std::nullopt;
  std::array<char, 32> group{};
  const bool is_named = EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1;
  const bool is_p256 = is_named && std::string_view(group.data()) == SN_X9_62_prime256v1;
  return is_p256 ? std::optional(KeyType::kP256) : std::nullopt;
}

// An Ed25519 file holds one half only, so there is nothing that could disagree.
bool halves_agree(EVP_PKEY* key) {
  if (type_of(key) == KeyType::kEd25519) return true;
  const std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>> check(
      EVP_PKEY_CTX_new(key, nullptr));
  COPPICE_OPENSSL(check != nullptr);
  return EVP_PKEY_private_check(check.get()) == 1 && EVP_PKEY_pairwise_check(check.get()) == 1;
}

}  // namespace

std::string uri_of(const Identity& identity) {
  if (identity.role == Identity::Role::kCoordinator) return std::string(kCoordinatorUri);
  return text(kNodePrefix, identity.node);
}

std::optional<Identity> identity_of(std::string_view uri) {
  if (uri == kCoordinatorUri) return Identity{Identity::Role::kCoordinator};
  if (!uri.starts_with(kNodePrefix)) return std::nullopt;
  const std::string_view id = uri.substr(kNodePrefix.size());
  if (!is_node_id(id)) return std::nullopt;
  return Identity{Identity::Role::kNode, std::string(id)};
}

std::string_view name_of(KeyType type) { return type == KeyType::kP256 ? "p256" : "ed25519"; }

KeyType key_type_named(std::string_view name) {
  constexpr std::string_view kNames[] = {"p256", "ed25519"};
  if (name == kNames[0]) return KeyType::kP256;
  if (name == kNames[1]) return KeyType::kEd25519;
  throw ConfigError(unknown_name("type of key", name.substr(0, 64), kNames));
}

void KeyFree::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

PrivateKey PrivateKey::generate(KeyType type) {
  KeyHandle key(type == KeyType::kP256 ? EVP_EC_gen("P-256")
                                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  COPPICE_OPENSSL(key != nullptr);
  return PrivateKey(key.release());
}

PrivateKey PrivateKey::from_pem(std::string_view pem, std::string_view what) {
  const auto fail = [&](std::string_view got) {
    throw DataError(text(
        what, ": expected a P-256 or Ed25519 private key in PEM, without a passphrase, got ", got));
  };
  if (pem.size() > kMaxKeyPemBytes) fail(text(pem.size(), " bytes"));
  const Bio bio = reading(pem);
  KeyHandle key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) fail(text("something else (", openssl_reasons(), ")"));
  expect_only_space(bio, what);
  if (!type_of(key.get())) fail("a key of another type");
  if (!halves_agree(key.get())) {
    openssl_reasons();
    fail("one whose public half is not its own");
  }
  return PrivateKey(key.release());
}

std::string PrivateKey::pem() const {
  const Bio bio = secret_memory();
  COPPICE_OPENSSL(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                                nullptr) == 1);
  return text_of(bio);
}

KeyType PrivateKey::type() const { return type_of(key_.get()).value(); }

std::array<std::uint8_t, 32> secret_bytes() {
  std::array<std::uint8_t, 32> bytes{};
  COPPICE_OPENSSL(RAND_priv_bytes(bytes.data(), bytes.size()) == 1);
  return bytes;
}

}  // namespace coppice::tls
