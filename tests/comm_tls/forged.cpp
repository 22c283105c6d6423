#include "tests/comm_tls/forged.h"

#include <openssl/rand.h>

#include "comm/tls/openssl.h"

namespace coppice::tls {
namespace {

void add(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionHandle extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  COPPICE_OPENSSL(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

CertificateHandle blank(const PrivateKey& key, const Validity& validity) {
  CertificateHandle made(X509_new());
  std::int64_t serial = 0;
  COPPICE_OPENSSL(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), 7) == 1);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(made.get()), serial);
  X509_set1_notBefore(made.get(), time_of(validity.not_before_s).get());
  X509_set1_notAfter(made.get(), time_of(validity.not_after_s).get());
  X509_set_pubkey(made.get(), key.get());
  return made;
}

void sign(X509* certificate, const PrivateKey& key) {
  const EVP_MD* hash = key.type() == KeyType::kEd25519 ? nullptr : EVP_sha256();
  COPPICE_OPENSSL(X509_sign(certificate, key.get(), hash) > 0);
}

}  // namespace

Certificate forge(const PrivateKey& key, const Forgery& forgery) {
  CertificateHandle made = blank(key, forgery.validity);
  X509* const leaf = made.get();
  X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("forged"), -1, -1, 0);
  X509* const issuer = forgery.issuer != nullptr ? forgery.issuer->get() : leaf;
  X509_set_issuer_name(leaf, X509_get_subject_name(issuer));
  add(leaf, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add(leaf, issuer, NID_key_usage, "critical,digitalSignature");
  if (!forgery.usage.empty()) add(leaf, issuer, NID_ext_key_usage, forgery.usage);
  if (!forgery.name.empty()) add(leaf, issuer, NID_subject_alt_name, forgery.name);
  add(leaf, issuer, NID_subject_key_identifier, "hash");
  if (forgery.issuer != nullptr) add(leaf, issuer, NID_authority_key_identifier, "keyid:always");
  sign(leaf, forgery.issuer_key != nullptr ? *forgery.issuer_key : key);
  return Certificate(made.release());
}

Certificate forge_authority_named_as(const Certificate& other, const PrivateKey& key) {
  CertificateHandle made = blank(key, {kNow - kDay, kNow + kDay});
  X509_set_subject_name(made.get(), X509_get_subject_name(other.get()));
  X509_set_issuer_name(made.get(), X509_get_subject_name(other.get()));
  add(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add(made.get(), made.get(), NID_subject_key_identifier, "hash");
  sign(made.get(), key);
  return Certificate(made.release());
}

}  // namespace coppice::tls
