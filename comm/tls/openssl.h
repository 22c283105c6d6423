#pragma once
// Owners of OpenSSL handles and the one check of every OpenSSL return value. Private to comm/tls
// (it includes OpenSSL's headers). Any thread may use handles of its own.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdint>      // for int64_t
#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

namespace coppice::tls {

// Takes every error off OpenSSL's queue of this thread: "unsupported; bad decrypt", or "no reason
// given". Texts of OpenSSL name functions and rules, never key material.
std::string openssl_reasons();

// Throws CommError with the expression, where it stands and OpenSSL's reasons unless `is_good`.
// COPPICE_OPENSSL(call == 1) fills in the rest; it is a macro for their sake only.
void check_openssl(bool is_good, std::string_view expression, std::string_view file, int line);
#define COPPICE_OPENSSL(condition) \
  ::coppice::tls::check_openssl((condition), #condition, __FILE__, __LINE__)

template <auto kFree>
struct OpensslFree {
  template <typename T>
  void operator()(T* handle) const {
    kFree(handle);
  }
};

using Bio = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using CertificateHandle = std::unique_ptr<X509, OpensslFree<X509_free>>;
using RequestHandle = std::unique_ptr<X509_REQ, OpensslFree<X509_REQ_free>>;
using RevocationHandle = std::unique_ptr<X509_CRL, OpensslFree<X509_CRL_free>>;
using ExtensionHandle = std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>>;
using NamesHandle = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;
using IntegerHandle = std::unique_ptr<ASN1_INTEGER, OpensslFree<ASN1_INTEGER_free>>;
using BigNumber = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using TimeHandle = std::unique_ptr<ASN1_TIME, OpensslFree<ASN1_TIME_free>>;

// A BIO that reads `bytes`, which must outlive it, and one whose content text_of() copies out.
// The second wipes its memory when it goes: keys pass through it.
Bio reading(std::string_view bytes);
Bio secret_memory();
std::string text_of(const Bio& memory);

// For PEM_read_bio_*: never asks anybody for a passphrase, so that an encrypted file is an error
// instead of a prompt.
int no_passphrase(char* buffer, int size, int is_writing, void* nothing);

// Throws DataError unless everything that `bio` has not given yet is white space: a file holds one
// object and nothing behind it.
void expect_only_space(const Bio& bio, std::string_view what);

TimeHandle time_of(std::int64_t unix_s);
std::int64_t unix_seconds(const ASN1_TIME* time);  // DataError if it is none

std::string serial_text(const ASN1_INTEGER* serial);         // lower-case hexadecimal
IntegerHandle serial_number(const std::string& hex_digits);  // its reverse

}  // namespace coppice::tls
