#include "comm/tls/ledger.h"

#include "core/digest.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kDigestLine = 65;  // 64 digits and the line's end

Json to_json(const TokenRecord& token) {
  Json json;
  json.set("sha256", token.sha256);
  json.set("node", token.node);
  json.set("expires_s", token.expires_s);
  json.set("key", token.key);
  json.set("certificate", token.certificate);
  json.set("withdrawn", token.is_withdrawn);
  return json;
}

TokenRecord token_from(const Json& json) {
  TokenRecord token{json.at("sha256").as_text(), json.at("node").as_text(),
                    json.at("expires_s").as_integer()};
  token.key = json.at("key").as_text();
  token.certificate = json.at("certificate").as_text();
  token.is_withdrawn = json.at("withdrawn").as_bool();
  return token;
}

Json to_json(const IssuedRecord& issued) {
  Json json;
  json.set("serial", issued.serial);
  json.set("node", issued.node);
  json.set("not_before_s", issued.validity.not_before_s);
  json.set("not_after_s", issued.validity.not_after_s);
  json.set("pem", issued.pem);
  json.set("revoked_s", issued.revoked_s);
  return json;
}

IssuedRecord issued_from(const Json& json) {
  return {json.at("serial").as_text(), json.at("node").as_text(),
          Validity{json.at("not_before_s").as_integer(), json.at("not_after_s").as_integer()},
          json.at("pem").as_text(), json.at("revoked_s").as_integer()};
}

}  // namespace

std::set<std::string> Ledger::revoked_serials() const {
  std::set<std::string> serials;
  for (const IssuedRecord& certificate : issued) {
    if (certificate.revoked_s >= 0) serials.insert(certificate.serial);
  }
  return serials;
}

std::string to_text(const Ledger& ledger) {
  Json::Array tokens;
  for (const TokenRecord& token : ledger.tokens) tokens.push_back(to_json(token));
  Json::Array issued;
  for (const IssuedRecord& certificate : ledger.issued) issued.push_back(to_json(certificate));
  Json json;
  json.set("version", kVersion);
  json.set("list_number", ledger.list_number);
  json.set("tokens", std::move(tokens));
  json.set("issued", std::move(issued));
  const std::string line = json.dump() + '\n';
  return line + sha256_hex(line) + '\n';
}

Ledger ledger_from(std::string_view file, std::string_view what) {
  const bool is_long_enough = file.size() > kDigestLine && file.back() == '\n';
  const std::string_view line = is_long_enough ? file.substr(0, file.size() - kDigestLine) : "";
  if (!is_long_enough || file.substr(line.size(), kDigestLine - 1) != sha256_hex(line)) {
    throw DataError(text(what, ": expected a line of JSON and its SHA-256, got ", file.size(),
                         " bytes that are damaged; take the newest copy that is whole"));
  }
  const Json json = Json::parse(line.substr(0, line.size() - 1), what);
  if (json.at("version").as_integer() != kVersion) {
    throw DataError(
        text(what, ": expected version ", kVersion, ", got ", json.at("version").as_integer()));
  }
  Ledger ledger;
  ledger.list_number = json.at("list_number").as_integer();
  for (const Json& token : json.at("tokens").as_array()) ledger.tokens.push_back(token_from(token));
  for (const Json& issued : json.at("issued").as_array())
    ledger.issued.push_back(issued_from(issued));
  return ledger;
}

}  // namespace coppice::tls
