#pragma once
// Certificates as nobody honest would sign them, for tests of who is let in.

#include <string>

#include "comm/tls/identity.h"

namespace coppice::tls {

inline constexpr std::int64_t kNow = 1'800'000'000;  // the tests' clock stands still here
inline constexpr std::int64_t kDay = 86400;

struct Forgery {
  std::string name = "URI:coppice:node:edge-1";  // alternative names; empty: none
  std::string usage = "clientAuth";              // extended usage; empty: none
  Validity validity = {kNow - kDay, kNow + kDay};
  const Certificate* issuer = nullptr;  // null: signed by itself
  const PrivateKey* issuer_key = nullptr;
};

Certificate forge(const PrivateKey& key, const Forgery& forgery);

// An authority that calls itself what `other` does.
Certificate forge_authority_named_as(const Certificate& other, const PrivateKey& key);

}  // namespace coppice::tls
