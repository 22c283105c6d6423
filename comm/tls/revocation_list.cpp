// The list of certificates that an authority has taken back, as X.509 has it.

#include <openssl/pem.h>

#include "comm/tls/identity.h"
#include "comm/tls/openssl.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

constexpr std::size_t kMaxPemBytes = std::size_t{4} << 20;
constexpr int kVersion2 = 1;

void add_serial(X509_CRL* list, const std::string& serial, const ASN1_TIME* when) {
  std::unique_ptr<X509_REVOKED, OpensslFree<X509_REVOKED_free>> entry(X509_REVOKED_new());
  COPPICE_OPENSSL(entry != nullptr);
  COPPICE_OPENSSL(X509_REVOKED_set_serialNumber(entry.get(), serial_number(serial).get()) == 1);
  COPPICE_OPENSSL(X509_REVOKED_set_revocationDate(entry.get(), const_cast<ASN1_TIME*>(when)) == 1);
  COPPICE_OPENSSL(X509_CRL_add0_revoked(list, entry.get()) == 1);
  static_cast<void>(entry.release());  // the list has it
}

std::int64_t number_of(const X509_CRL* list, std::string_view what) {
  const IntegerHandle number(
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(list, NID_crl_number, nullptr, nullptr)));
  std::int64_t value = -1;
  if (number == nullptr || ASN1_INTEGER_get_int64(&value, number.get()) != 1 || value < 0) {
    openssl_reasons();
    throw DataError(text(what, ": expected a revocation list with a number, got one without"));
  }
  return value;
}

}  // namespace

std::string RevocationList::make_pem(const std::set<std::string>& serials, std::int64_t number,
                                     std::int64_t now_s, const Certificate& authority,
                                     const PrivateKey& authority_key) {
  const RevocationHandle list(X509_CRL_new());
  COPPICE_OPENSSL(list != nullptr);
  COPPICE_OPENSSL(X509_CRL_set_version(list.get(), kVersion2) == 1);
  COPPICE_OPENSSL(X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(authority.get())) ==
                  1);
  const TimeHandle now = time_of(now_s);
  COPPICE_OPENSSL(X509_CRL_set1_lastUpdate(list.get(), now.get()) == 1);
  // The file beside the authority is the newest there is, so a list does not run out by itself.
  COPPICE_OPENSSL(
      X509_CRL_set1_nextUpdate(list.get(), time_of(authority.validity().not_after_s).get()) == 1);
  const IntegerHandle count(ASN1_INTEGER_new());
  COPPICE_OPENSSL(count != nullptr && ASN1_INTEGER_set_int64(count.get(), number) == 1);
  COPPICE_OPENSSL(X509_CRL_add1_ext_i2d(list.get(), NID_crl_number, count.get(), 0, 0) == 1);
  for (const std::string& serial : serials) add_serial(list.get(), serial, now.get());
  COPPICE_OPENSSL(X509_CRL_sort(list.get()) == 1);
  const EVP_MD* hash = authority_key.type() == KeyType::kEd25519 ? nullptr : EVP_sha256();
  COPPICE_OPENSSL(X509_CRL_sign(list.get(), authority_key.get(), hash) > 0);
  const Bio bio = secret_memory();
  COPPICE_OPENSSL(PEM_write_bio_X509_CRL(bio.get(), list.get()) == 1);
  return text_of(bio);
}

RevocationList RevocationList::from_pem(std::string_view pem, const Certificate& authority,
                                        std::string_view what) {
  if (pem.size() > kMaxPemBytes) {
    throw DataError(text(what, ": expected a revocation list of at most ", kMaxPemBytes,
                         " bytes, got ", pem.size()));
  }
  const Bio bio = reading(pem);
  const RevocationHandle list(PEM_read_bio_X509_CRL(bio.get(), nullptr, no_passphrase, nullptr));
  if (list == nullptr) {
    throw DataError(text(what, ": expected a revocation list in PEM, got something else (",
                         openssl_reasons(), ")"));
  }
  expect_only_space(bio, what);
  if (X509_CRL_verify(list.get(), X509_get0_pubkey(authority.get())) != 1) {
    openssl_reasons();
    throw DataError(
        text(what, ": expected a revocation list signed by the authority, got another"));
  }
  RevocationList result;
  result.number_ = number_of(list.get(), what);
  const STACK_OF(X509_REVOKED)* const entries = X509_CRL_get_REVOKED(list.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    result.serials_.insert(
        serial_text(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  }
  return result;
}

}  // namespace coppice::tls
