#pragma once
// One-time enrolment tokens. A token is 256 random bits that are shown once, to whoever sets up a
// device; kept is only their SHA-256, with the node that the token is for and when it ends. It
// buys one certificate for that node and nothing else.
//
// Pure values: the time is an argument, and what makes use of a token durable and exclusive is
// Authority. Any thread may use its own. No message and no log line contains a token.

#include <cstdint>      // for int64_t
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice::tls {

// What is kept of a token.
struct TokenRecord {
  std::string sha256;  // of the token's 32 bytes, lower-case hexadecimal
  std::string node;
  std::int64_t expires_s = 0;    // the first second in which it counts no more
  std::string key = {};          // fingerprint of the key it was used for; empty: unused
  std::string certificate = {};  // serial of what was signed then
  bool is_withdrawn = false;     // its node was revoked before it was used

  friend bool operator==(const TokenRecord&, const TokenRecord&) = default;
};

struct NewToken {
  std::string text;  // 64 hexadecimal digits: the secret itself
  TokenRecord record;
};

// A fresh token. Throws ConfigError for a name that is no node's or a lifetime that is not
// positive.
NewToken make_token(const std::string& node, std::int64_t now_s, std::int64_t lifetime_s);

enum class TokenVerdict : std::uint8_t {
  kGood,
  kRepeated,  // used already, for the same key: the same certificate may be given out again
  kUnknown,   // no such token, or not a token's form
  kOtherNode,
  kExpired,
  kUsed,  // for another key
  kWithdrawn
};
std::string_view sentence_of(TokenVerdict verdict);  // "it was used already", for messages

// What `token` is worth for `node` and a key at `now_s`; `found` is the place of its record, if
// there is one. All records are compared, each in constant time. A repeated one is not asked
// whether it has expired: what it was worth it has given.
struct TokenAnswer {
  TokenVerdict verdict = TokenVerdict::kUnknown;
  std::size_t found = 0;
};
TokenAnswer judge_token(const std::vector<TokenRecord>& records, std::string_view token,
                        const std::string& node, const std::string& key, std::int64_t now_s);

}  // namespace coppice::tls
