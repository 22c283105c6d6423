#include "comm/tls/openssl.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>

#include <array>  // for array
#include <ctime>  // for tm

#include "core/error.h"
#include "core/text.h"

namespace coppice::tls {

std::string openssl_reasons() {
  std::string reasons;
  while (const unsigned long code = ERR_get_error()) {  // NOLINT(google-runtime-int): its type
    const char* reason = ERR_reason_error_string(code);
    if (reason == nullptr) continue;
    if (!reasons.empty()) reasons += "; ";
    reasons += reason;
  }
  return reasons.empty() ? "no reason given" : reasons;
}

void check_openssl(bool is_good, std::string_view expression, std::string_view file, int line) {
  if (is_good) return;
  throw CommError(text(file, ":", line, ": ", expression, ": OpenSSL: ", openssl_reasons()));
}

Bio reading(std::string_view bytes) {
  Bio bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  COPPICE_OPENSSL(bio != nullptr);
  return bio;
}

Bio secret_memory() {
  Bio bio(BIO_new(BIO_s_secmem()));
  COPPICE_OPENSSL(bio != nullptr);
  return bio;
}

std::string text_of(const Bio& memory) {
  char* begin = nullptr;
  const auto length = BIO_get_mem_data(memory.get(), &begin);
  return {begin, static_cast<std::size_t>(length)};
}

int no_passphrase(char* /*buffer*/, int /*size*/, int /*is_writing*/, void* /*nothing*/) {
  return -1;
}

void expect_only_space(const Bio& bio, std::string_view what) {
  std::array<char, 256> rest{};
  int length = 0;
  while ((length = BIO_read(bio.get(), rest.data(), rest.size())) > 0) {
    const std::string_view got(rest.data(), static_cast<std::size_t>(length));
    const bool is_space = got.find_first_not_of(" \t\r\n") == std::string_view::npos;
    if (!is_space) throw DataError(text(what, ": expected one PEM block, got more behind it"));
  }
}

TimeHandle time_of(std::int64_t unix_s) {
  TimeHandle time(ASN1_TIME_set(nullptr, static_cast<time_t>(unix_s)));
  COPPICE_OPENSSL(time != nullptr);
  return time;
}

std::int64_t unix_seconds(const ASN1_TIME* time) {
  tm broken_down{};
  if (ASN1_TIME_to_tm(time, &broken_down) != 1) {
    openssl_reasons();
    throw DataError("expected a time, got something else");
  }
  return static_cast<std::int64_t>(timegm(&broken_down));
}

std::string serial_text(const ASN1_INTEGER* serial) {
  const BigNumber number(ASN1_INTEGER_to_BN(serial, nullptr));
  COPPICE_OPENSSL(number != nullptr);
  std::array<std::uint8_t, 64> bytes{};
  if (BN_is_negative(number.get()) != 0 || BN_num_bytes(number.get()) > 20)
    throw DataError("expected a serial number of at most 20 bytes, got another");
  const int length = BN_bn2bin(number.get(), bytes.data());
  return hex(std::span(bytes).first(static_cast<std::size_t>(length)));
}

IntegerHandle serial_number(const std::string& hex_digits) {
  BIGNUM* parsed = nullptr;
  const int length = BN_hex2bn(&parsed, hex_digits.c_str());
  const BigNumber number(parsed);
  if (length <= 0 || static_cast<std::size_t>(length) != hex_digits.size())
    throw DataError(text("expected a serial number in hexadecimal, got '", hex_digits, "'"));
  IntegerHandle serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  COPPICE_OPENSSL(serial != nullptr);
  return serial;
}

}  // namespace coppice::tls
