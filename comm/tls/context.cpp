#include "comm/tls/context.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <boost/asio/ssl/context.hpp>
#include <chrono>   // for system_clock
#include <utility>  // for move

#include "comm/tls/openssl.h"
#include "comm/tls/private_file.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxPemBytes = 16384;
constexpr std::int64_t kMaxListBytes = std::int64_t{4} << 20;
constexpr long kMaxChainBytes = 16384;  // NOLINT(google-runtime-int): OpenSSL's type

// What OpenSSL has no code of its own for.
constexpr int kWrongName = X509_V_ERR_APPLICATION_VERIFICATION;
constexpr int kListUnreadable = X509_V_ERR_UNABLE_TO_GET_CRL;

Identity::Role role_expected_by(End end) {
  return end == End::kCoordinator ? Identity::Role::kNode : Identity::Role::kCoordinator;
}

// Its extended usage is there and says exactly one thing.
bool has_usage(X509* certificate, std::uint32_t usage) {
  return (X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) != 0 &&
         X509_get_extended_key_usage(certificate) == usage;
}

bool is_for(const Certificate& certificate, Identity::Role role) {
  const auto identity = certificate.identity();
  const bool is_node = role == Identity::Role::kNode;
  return identity && identity->role == role &&
         has_usage(certificate.get(), is_node ? XKU_SSL_CLIENT : XKU_SSL_SERVER);
}

Certificate shared(X509* certificate) {
  X509_up_ref(certificate);
  return Certificate(certificate);
}

void set_versions_and_ciphers(SSL_CTX* context) {
  COPPICE_OPENSSL(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1);
  COPPICE_OPENSSL(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1);
  COPPICE_OPENSSL(SSL_CTX_set_ciphersuites(context,
                                           "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
                                           "TLS_AES_128_GCM_SHA256") == 1);
  COPPICE_OPENSSL(SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1);
  COPPICE_OPENSSL(SSL_CTX_set1_sigalgs_list(context, "ECDSA+SHA256:ed25519") == 1);
}

void forbid_resumption(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  COPPICE_OPENSSL(SSL_CTX_set_num_tickets(context, 0) == 1);
  COPPICE_OPENSSL(SSL_CTX_set_max_early_data(context, 0) == 1);
}

}  // namespace

UnixClock or_system_clock(UnixClock clock) {
  if (clock) return clock;
  return [] {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(now).count();
  };
}

// ---- the list

struct RevocationFile::Stamp {
  dev_t device = 0;
  ino_t file = 0;
  off_t bytes = -1;
  timespec changed = {};

  static Stamp of(const fs::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
      throw DataError(text("cannot read '", path.string(), "': there is no such file"));
    return {status.st_dev, status.st_ino, status.st_size, status.st_mtim};
  }
  bool is_same(const Stamp& other) const {
    return device == other.device && file == other.file && bytes == other.bytes &&
           changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
  }
};

RevocationFile::RevocationFile(fs::path path, Certificate authority)
    : path_(std::move(path)), authority_(std::move(authority)), stamp_(std::make_unique<Stamp>()) {
  read_if_changed();
}

RevocationFile::~RevocationFile() = default;

void RevocationFile::read_if_changed() {
  const Stamp now = Stamp::of(path_);  // before reading: a change in between is seen next time
  if (stamp_->is_same(now)) return;
  RevocationList list =
      RevocationList::from_pem(read_whole_file(path_, kMaxListBytes), authority_, path_.string());
  if (list.number() < list_.number()) {
    throw DataError(text(path_.string(), ": expected revocation list ", list_.number(),
                         " or a later one, got ", list.number()));
  }
  list_ = std::move(list);
  *stamp_ = now;
}

bool RevocationFile::contains(const std::string& serial) {
  read_if_changed();
  return list_.contains(serial);
}

// ---- the context

struct TlsContext::State {
  State(End which, UnixClock time, const TlsFiles& files, Certificate authority)
      : end(which),
        clock(std::move(time)),
        revoked(files.revocation_list, std::move(authority)),
        asio(which == End::kCoordinator ? boost::asio::ssl::context::tlsv13_server
                                        : boost::asio::ssl::context::tlsv13_client) {}

  int verdict_on(X509_STORE_CTX* chain);
  static int verify(X509_STORE_CTX* chain, void* state);

  End end;
  UnixClock clock;
  RevocationFile revoked;
  boost::asio::ssl::context asio;
};

// X509_V_OK, or the code of what is wrong with the peer's certificate.
int TlsContext::State::verdict_on(X509_STORE_CTX* chain) {
  X509_STORE_CTX_set_time(chain, 0, static_cast<time_t>(clock()));
  if (X509_verify_cert(chain) != 1) {
    const int code = X509_STORE_CTX_get_error(chain);
    return code == X509_V_OK ? X509_V_ERR_UNSPECIFIED : code;
  }
  const Certificate leaf = shared(X509_STORE_CTX_get0_cert(chain));
  const auto role = role_expected_by(end);
  const bool is_node = role == Identity::Role::kNode;
  if (!has_usage(leaf.get(), is_node ? XKU_SSL_CLIENT : XKU_SSL_SERVER))
    return X509_V_ERR_INVALID_PURPOSE;
  if (!is_for(leaf, role)) return kWrongName;
  return revoked.contains(leaf.serial()) ? X509_V_ERR_CERT_REVOKED : X509_V_OK;
}

// Called by OpenSSL instead of its own check; exceptions may not pass through its C.
int TlsContext::State::verify(X509_STORE_CTX* chain, void* state) {
  int code = kListUnreadable;
  try {
    code = static_cast<State*>(state)->verdict_on(chain);
  } catch (const std::exception&) {  // the list or the clock: nobody is let in
    code = kListUnreadable;
  }
  X509_STORE_CTX_set_error(chain, code);
  return code == X509_V_OK ? 1 : 0;
}

TlsContext::TlsContext(End end, const TlsFiles& files, UnixClock clock) {
  const Certificate authority = Certificate::from_pem(
      read_whole_file(files.authority, kMaxPemBytes), files.authority.string());
  const Certificate own = Certificate::from_pem(read_whole_file(files.certificate, kMaxPemBytes),
                                                files.certificate.string());
  const PrivateKey key =
      PrivateKey::from_pem(read_private_file(files.key, kMaxPemBytes), files.key.string());
  const bool is_coordinator = end == End::kCoordinator;
  const auto refuse = [](const fs::path& path, std::string_view expected) {
    throw DataError(text("'", path.string(), "': expected ", expected, ", got another"));
  };
  if (!own.is_signed_by(authority))
    refuse(files.certificate,
           "a certificate of the authority in '" + files.authority.string() + "'");
  if (!own.belongs_to(key))
    refuse(files.certificate, "the certificate of the key in '" + files.key.string() + "'");
  if (!is_for(own, is_coordinator ? Identity::Role::kCoordinator : Identity::Role::kNode))
    refuse(files.certificate,
           is_coordinator ? "the coordinator's certificate" : "a node's certificate");

  state_ = std::make_unique<State>(end, std::move(clock), files, shared(authority.get()));
  SSL_CTX* const context = state_->asio.native_handle();
  set_versions_and_ciphers(context);
  forbid_resumption(context);
  SSL_CTX_set_max_cert_list(context, kMaxChainBytes);
  COPPICE_OPENSSL(SSL_CTX_use_certificate(context, own.get()) == 1);
  COPPICE_OPENSSL(SSL_CTX_use_PrivateKey(context, key.get()) == 1);
  COPPICE_OPENSSL(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) == 1);
  SSL_CTX_set_verify_depth(context, 0);  // no authority between the root and a peer
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, &State::verify, state_.get());
}

TlsContext::~TlsContext() = default;

boost::asio::ssl::context& TlsContext::asio() { return state_->asio; }

bool TlsContext::is_still_good(const Peer& peer) {
  return state_->clock() <= peer.not_after_s && !state_->revoked.contains(peer.serial);
}

Peer peer_of(ssl_st* connection) {
  X509* const certificate = SSL_get1_peer_certificate(connection);
  if (certificate == nullptr || SSL_is_init_finished(connection) != 1 ||
      SSL_get_verify_result(connection) != X509_V_OK) {
    X509_free(certificate);
    throw CommError("TLS: expected a finished handshake, got a connection without a checked peer");
  }
  const Certificate peer(certificate);
  return {peer.identity().value(), peer.serial(), peer.fingerprint(), peer.validity().not_after_s};
}

std::string refusal_of(ssl_st* connection) {
  const auto code = SSL_get_verify_result(connection);
  if (code == X509_V_OK) return "";
  if (code == kWrongName) {
    return SSL_is_server(connection) == 1 ? "the certificate's name is not one of a node"
                                          : "the certificate's name is not the coordinator's";
  }
  if (code == kListUnreadable) return "the list of revoked certificates cannot be read";
  return X509_verify_cert_error_string(code);
}

}  // namespace coppice::tls
