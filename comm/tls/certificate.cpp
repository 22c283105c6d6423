// Certificates and the requests for them.

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <utility>  // for move

#include "comm/tls/identity.h"
#include "comm/tls/openssl.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/node_id.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

constexpr std::size_t kMaxPemBytes = 16384;
constexpr int kVersion3 = 2;

// Ed25519 brings its own hash, and is given none.
const EVP_MD* hash_for(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
}

bool is_known_key(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return true;
  return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_bits(key) == 256;
}

void set_common_name(X509_NAME* name, const std::string& value) {
  COPPICE_OPENSSL(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                             reinterpret_cast<const unsigned char*>(value.data()),
                                             static_cast<int>(value.size()), -1, 0) == 1);
}

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionHandle extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  COPPICE_OPENSSL(extension != nullptr);
  COPPICE_OPENSSL(X509_add_ext(certificate, extension.get(), -1) == 1);
}

// 127 random bits: positive, and not to be guessed before it is signed.
void set_random_serial(X509* certificate) {
  const BigNumber serial(BN_new());
  COPPICE_OPENSSL(serial != nullptr);
  COPPICE_OPENSSL(BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
  COPPICE_OPENSSL(BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr);
}

// What every certificate of ours has; extensions and the signature come after.
CertificateHandle blank(EVP_PKEY* key, const std::string& name, const Validity& validity) {
  CertificateHandle certificate(X509_new());
  COPPICE_OPENSSL(certificate != nullptr);
  COPPICE_OPENSSL(X509_set_version(certificate.get(), kVersion3) == 1);
  set_random_serial(certificate.get());
  COPPICE_OPENSSL(X509_set1_notBefore(certificate.get(), time_of(validity.not_before_s).get()) ==
                  1);
  COPPICE_OPENSSL(X509_set1_notAfter(certificate.get(), time_of(validity.not_after_s).get()) == 1);
  COPPICE_OPENSSL(X509_set_pubkey(certificate.get(), key) == 1);
  set_common_name(X509_get_subject_name(certificate.get()), name);
  return certificate;
}

// What a certificate is for, besides its key.
struct Grant {
  Identity identity;
  std::string usage;  // "clientAuth" or "serverAuth"
  Validity validity;
};

Certificate sign_leaf(EVP_PKEY* key, const Grant& grant, const Certificate& authority,
                      const PrivateKey& authority_key) {
  const Validity outer = authority.validity();
  const Validity& inner = grant.validity;
  const bool is_inside = inner.not_before_s >= outer.not_before_s &&
                         inner.not_before_s < inner.not_after_s &&
                         inner.not_after_s <= outer.not_after_s;
  if (!is_inside) {
    throw ConfigError(text("validity of a certificate: expected a span inside the authority's, ",
                           outer.not_before_s, " to ", outer.not_after_s,
                           " (seconds since 1970), got ", inner.not_before_s, " to ",
                           inner.not_after_s));
  }
  const bool is_node = grant.identity.role == Identity::Role::kNode;
  CertificateHandle made = blank(key, is_node ? grant.identity.node : "coordinator", inner);
  X509* const leaf = made.get();
  COPPICE_OPENSSL(X509_set_issuer_name(leaf, X509_get_subject_name(authority.get())) == 1);
  add_extension(leaf, authority.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(leaf, authority.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(leaf, authority.get(), NID_ext_key_usage, "critical," + grant.usage);
  add_extension(leaf, authority.get(), NID_subject_alt_name, "URI:" + uri_of(grant.identity));
  add_extension(leaf, authority.get(), NID_subject_key_identifier, "hash");
  add_extension(leaf, authority.get(), NID_authority_key_identifier, "keyid:always");
  COPPICE_OPENSSL(X509_sign(leaf, authority_key.get(), hash_for(authority_key.get())) > 0);
  return Certificate(made.release());
}

std::string common_name(X509_REQ* request) {
  X509_NAME* const subject = X509_REQ_get_subject_name(request);
  const int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (place < 0 || X509_NAME_entry_count(subject) != 1) return "";
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<std::size_t>(ASN1_STRING_length(value))};
}

template <typename Object>
std::string der_digest(const Object* object, int (*encode)(const Object*, unsigned char**)) {
  unsigned char* bytes = nullptr;
  const int length = encode(object, &bytes);
  COPPICE_OPENSSL(length > 0);
  const std::unique_ptr<unsigned char, decltype([](unsigned char* p) { OPENSSL_free(p); })> owner(
      bytes);
  return sha256_hex(std::span<const std::uint8_t>(bytes, static_cast<std::size_t>(length)));
}

}  // namespace

void CertificateFree::operator()(x509_st* certificate) const { X509_free(certificate); }
void RequestFree::operator()(X509_req_st* request) const { X509_REQ_free(request); }

Certificate Certificate::from_pem(std::string_view pem, std::string_view what) {
  const auto fail = [&](const std::string& got) {
    throw DataError(text(what, ": expected a certificate in PEM of at most ", kMaxPemBytes,
                         " bytes, got ", got));
  };
  if (pem.size() > kMaxPemBytes) fail(text(pem.size(), " bytes"));
  const Bio bio = reading(pem);
  CertificateHandle read(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  if (read == nullptr) fail(text("something else (", openssl_reasons(), ")"));
  expect_only_space(bio, what);
  Certificate certificate(read.release());
  certificate.serial();  // both throw if they cannot be said
  certificate.validity();
  return certificate;
}

std::string Certificate::pem() const {
  const Bio bio = secret_memory();
  COPPICE_OPENSSL(PEM_write_bio_X509(bio.get(), certificate_.get()) == 1);
  return text_of(bio);
}

std::optional<Identity> Certificate::identity() const {
  // A certificate with two such extensions gives none (the call then fails), as one without.
  const NamesHandle names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate_.get(), NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr || sk_GENERAL_NAME_num(names.get()) != 1) return std::nullopt;
  const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) return std::nullopt;
  const ASN1_IA5STRING* const uri = name->d.uniformResourceIdentifier;
  return identity_of({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<std::size_t>(ASN1_STRING_length(uri))});
}

std::string Certificate::serial() const {
  return serial_text(X509_get0_serialNumber(certificate_.get()));
}

std::string Certificate::fingerprint() const { return der_digest(certificate_.get(), i2d_X509); }

Validity Certificate::validity() const {
  return {unix_seconds(X509_get0_notBefore(certificate_.get())),
          unix_seconds(X509_get0_notAfter(certificate_.get()))};
}

bool Certificate::is_signed_by(const Certificate& authority) const {
  const bool is_signed = X509_verify(certificate_.get(), X509_get0_pubkey(authority.get())) == 1;
  openssl_reasons();
  return is_signed;
}

bool Certificate::belongs_to(const PrivateKey& key) const {
  const bool is_ours = X509_check_private_key(certificate_.get(), key.get()) == 1;
  openssl_reasons();
  return is_ours;
}

CertificateRequest CertificateRequest::make(const PrivateKey& key, const std::string& node) {
  check_node_id(node);
  RequestHandle request(X509_REQ_new());
  COPPICE_OPENSSL(request != nullptr);
  COPPICE_OPENSSL(X509_REQ_set_version(request.get(), 0) == 1);
  set_common_name(X509_REQ_get_subject_name(request.get()), node);
  COPPICE_OPENSSL(X509_REQ_set_pubkey(request.get(), key.get()) == 1);
  COPPICE_OPENSSL(X509_REQ_sign(request.get(), key.get(), hash_for(key.get())) > 0);
  return {request.release(), node};
}

CertificateRequest CertificateRequest::from_pem(std::string_view pem, std::string_view what) {
  const auto fail = [&](const std::string& got) {
    throw DataError(text(what, ": expected a request for a certificate in PEM of at most ",
                         kMaxPemBytes, " bytes, got ", got));
  };
  if (pem.size() > kMaxPemBytes) fail(text(pem.size(), " bytes"));
  const Bio bio = reading(pem);
  RequestHandle request(PEM_read_bio_X509_REQ(bio.get(), nullptr, no_passphrase, nullptr));
  if (request == nullptr) fail(text("something else (", openssl_reasons(), ")"));
  expect_only_space(bio, what);
  EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || !is_known_key(key)) {
    openssl_reasons();
    fail("one for a key that is neither P-256 nor Ed25519");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    openssl_reasons();
    fail("one that is not signed by its own key");
  }
  std::string node = common_name(request.get());
  if (!is_node_id(node)) fail("one whose common name is no node's");
  return {request.release(), std::move(node)};
}

std::string CertificateRequest::pem() const {
  const Bio bio = secret_memory();
  COPPICE_OPENSSL(PEM_write_bio_X509_REQ(bio.get(), request_.get()) == 1);
  return text_of(bio);
}

std::string CertificateRequest::key_fingerprint() const {
  return der_digest<EVP_PKEY>(X509_REQ_get0_pubkey(request_.get()), i2d_PUBKEY);
}

Certificate make_authority(const PrivateKey& key, const Validity& validity) {
  std::array<std::uint8_t, 8> mark{};
  COPPICE_OPENSSL(RAND_bytes(mark.data(), mark.size()) == 1);
  CertificateHandle made = blank(key.get(), text("coppice authority ", hex(mark)), validity);
  X509* const authority = made.get();
  COPPICE_OPENSSL(X509_set_issuer_name(authority, X509_get_subject_name(authority)) == 1);
  add_extension(authority, authority, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(authority, authority, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(authority, authority, NID_subject_key_identifier, "hash");
  COPPICE_OPENSSL(X509_sign(authority, key.get(), hash_for(key.get())) > 0);
  return Certificate(made.release());
}

Certificate sign_node(const CertificateRequest& request, const Validity& validity,
                      const Certificate& authority, const PrivateKey& authority_key) {
  return sign_leaf(X509_REQ_get0_pubkey(request.get()),
                   {{Identity::Role::kNode, request.node()}, "clientAuth", validity}, authority,
                   authority_key);
}

Certificate sign_coordinator(const PrivateKey& key, const Validity& validity,
                             const Certificate& authority, const PrivateKey& authority_key) {
  return sign_leaf(key.get(), {{Identity::Role::kCoordinator}, "serverAuth", validity}, authority,
                   authority_key);
}

}  // namespace coppice::tls
