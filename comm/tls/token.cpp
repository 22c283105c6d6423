#include "comm/tls/token.h"

#include <openssl/crypto.h>

#include <limits>    // for numeric_limits
#include <optional>  // for optional

#include "comm/tls/identity.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/node_id.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

constexpr std::size_t kTokenBytes = 32;

std::optional<int> digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return std::nullopt;
}

// SHA-256 of the bytes that the digits stand for; nothing if they are no token.
std::optional<std::string> digest_of(std::string_view token) {
  if (token.size() != 2 * kTokenBytes) return std::nullopt;
  std::array<std::uint8_t, kTokenBytes> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = digit(token[2 * i]);
    const auto low = digit(token[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(16 * *high + *low);
  }
  std::string digest = sha256_hex(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return digest;
}

TokenVerdict verdict_on(const TokenRecord& record, const std::string& node, const std::string& key,
                        std::int64_t now_s) {
  if (record.node != node) return TokenVerdict::kOtherNode;
  if (record.is_withdrawn) return TokenVerdict::kWithdrawn;
  if (!record.key.empty()) return record.key == key ? TokenVerdict::kRepeated : TokenVerdict::kUsed;
  return now_s < record.expires_s ? TokenVerdict::kGood : TokenVerdict::kExpired;
}

}  // namespace

NewToken make_token(const std::string& node, std::int64_t now_s, std::int64_t lifetime_s) {
  check_node_id(node);
  if (lifetime_s < 1 || lifetime_s > std::numeric_limits<std::int64_t>::max() - now_s)
    throw ConfigError(text("lifetime of a token: expected at least a second, got ", lifetime_s));
  auto bytes = secret_bytes();
  NewToken made{hex(bytes), {sha256_hex(bytes), node, now_s + lifetime_s}};
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return made;
}

std::string_view sentence_of(TokenVerdict verdict) {
  switch (verdict) {
    case TokenVerdict::kGood:
      return "it is good";
    case TokenVerdict::kRepeated:
      return "it was used already, for the same key";
    case TokenVerdict::kUnknown:
      return "there is no such token";
    case TokenVerdict::kOtherNode:
      return "it is another node's";
    case TokenVerdict::kExpired:
      return "it has expired";
    case TokenVerdict::kUsed:
      return "it was used already, for another key";
    case TokenVerdict::kWithdrawn:
      return "it was withdrawn when its node was revoked";
  }
  return "";
}

TokenAnswer judge_token(const std::vector<TokenRecord>& records, std::string_view token,
                        const std::string& node, const std::string& key, std::int64_t now_s) {
  TokenAnswer answer;
  const auto digest = digest_of(token);
  if (!digest) return answer;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string& known = records[i].sha256;
    if (known.size() == digest->size() &&
        CRYPTO_memcmp(known.data(), digest->data(), known.size()) == 0)
      answer = {verdict_on(records[i], node, key, now_s), i};
  }
  return answer;
}

}  // namespace coppice::tls
