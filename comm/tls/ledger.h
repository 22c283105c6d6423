#pragma once
// What an authority has done, as one file: tokens given out, certificates signed, certificates
// taken back. One line of JSON and one with its SHA-256, so that a damaged or cut file is refused
// instead of read as something else. A plain value; changes are made durable by Authority.

#include <cstdint>      // for int64_t
#include <set>          // for set
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "comm/tls/identity.h"
#include "comm/tls/token.h"

namespace coppice::tls {

// A certificate that was signed.
struct IssuedRecord {
  std::string serial;
  std::string node;  // empty: the coordinator's own
  Validity validity;
  std::string pem;              // as given out, to be given out again to the same key
  std::int64_t revoked_s = -1;  // -1: it was not

  friend bool operator==(const IssuedRecord&, const IssuedRecord&) = default;
};

struct Ledger {
  std::vector<TokenRecord> tokens = {};
  std::vector<IssuedRecord> issued = {};
  std::int64_t list_number = 0;  // of the newest revocation list

  std::set<std::string> revoked_serials() const;

  friend bool operator==(const Ledger&, const Ledger&) = default;
};

std::string to_text(const Ledger& ledger);
Ledger ledger_from(std::string_view file, std::string_view what);  // DataError

}  // namespace coppice::tls
