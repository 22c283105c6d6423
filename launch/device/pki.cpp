// `coppice pki`: who may take part in a run over TLS. Keys are made where they stay: the
// authority's and the coordinator's in one folder, each device's on the device.

#include <fmt/core.h>

#include <array>       // for array
#include <charconv>    // for from_chars
#include <ctime>       // for gmtime_r, strftime
#include <filesystem>  // for path

#include "comm/tls/authority.h"
#include "comm/tls/context.h"
#include "comm/tls/private_file.h"
#include "core/error.h"
#include "core/json.h"
#include "core/node_id.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/device/text_table.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxRequestBytes = 16384;
constexpr std::int64_t kMaxTokenFileBytes = 256;

std::int64_t now_s() { return tls::or_system_clock({})(); }

std::string date(std::int64_t unix_s) {
  const auto time = static_cast<time_t>(unix_s);
  tm broken_down{};
  ::gmtime_r(&time, &broken_down);
  std::array<char, 32> out{};
  const std::size_t length =
      std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M UTC", &broken_down);
  return {out.data(), length};
}

// "90d" -> 7,776,000. At most a century, so that no sum of times overflows.
std::int64_t seconds_in(const std::string& duration) {
  constexpr std::int64_t kMax = std::int64_t{36525} * 86400;
  std::int64_t count = 0;
  const char* const end = duration.data() + duration.size();
  const auto [unit, error] = std::from_chars(duration.data(), end, count);
  if (error == std::errc{} && unit + 1 == end && count >= 1 && count <= kMax) {
    constexpr std::pair<char, std::int64_t> kUnits[] = {
        {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    for (const auto& [letter, seconds] : kUnits) {
      if (*unit == letter && count <= kMax / seconds) return count * seconds;
    }
  }
  throw ConfigError(
      text("--valid: expected a whole number of s, m, h or d, at most 36525d, as in "
           "24h, got '",
           duration.substr(0, 64), "'"));
}

int init(const PkiArguments& arguments) {
  const fs::path folder = arguments.folder;
  const std::int64_t now = now_s();
  const tls::AuthorityOptions options{tls::key_type_named(arguments.key),
                                      seconds_in(arguments.valid)};
  tls::Authority::create(folder, options, now);
  fmt::print("authority    {} ({}, until {}); keep the folder to yourself\n",
             (folder / "ca.crt").string(), arguments.key, date(now + options.valid_s));
  fmt::print("coordinator  {}\n", (folder / "coordinator.crt").string());
  fmt::print("next         coppice pki token {} --node ID\n", folder.string());
  return 0;
}

int token(const PkiArguments& arguments) {
  check_node_id(arguments.node);
  const std::int64_t lifetime_s = seconds_in(arguments.valid);
  const std::int64_t now = now_s();
  const std::string secret =
      tls::Authority(arguments.folder).issue_token(arguments.node, now, lifetime_s);
  fmt::print("{}\n", secret);  // alone on stdout, for scripts; it is in no file and no log
  std::fflush(stdout);
  fmt::print(stderr, "for one certificate of {}, until {}; it is not shown again\n", arguments.node,
             date(now + lifetime_s));
  return 0;
}

// The key in `path`, made if there is none: a request may be made again, and certificates renewed.
tls::PrivateKey key_at(const fs::path& path, tls::KeyType type) {
  if (!fs::exists(path)) {
    tls::PrivateKey key = tls::PrivateKey::generate(type);
    tls::write_private_file(path, key.pem(), tls::Existing::kRefuse);
    fmt::print("key      {} (new; it stays on this device)\n", path.string());
    return key;
  }
  tls::PrivateKey key =
      tls::PrivateKey::from_pem(tls::read_private_file(path, kMaxRequestBytes), path.string());
  if (key.type() != type) {
    throw ConfigError(text("'", path.string(), "': expected a key of type ", tls::name_of(type),
                           ", got one of type ", tls::name_of(key.type())));
  }
  fmt::print("key      {} (as it was)\n", path.string());
  return key;
}

int request(const PkiArguments& arguments) {
  check_node_id(arguments.node);
  const tls::KeyType type = tls::key_type_named(arguments.key);
  const fs::path folder = arguments.out;
  if (!fs::exists(folder)) tls::make_private_folder(folder);
  const tls::PrivateKey key = key_at(folder / "node.key", type);
  const fs::path path = folder / "node.csr";
  tls::write_private_file(path, tls::CertificateRequest::make(key, arguments.node).pem());
  fmt::print("request  {} for {}: send it to the coordinator, with the token\n", path.string(),
             arguments.node);
  return 0;
}

// The token itself, or with "@FILE" what is in the file: arguments are seen by every user of a
// machine.
std::string token_of(const std::string& argument) {
  if (!argument.starts_with('@')) return argument;
  std::string content = tls::read_private_file(argument.substr(1), kMaxTokenFileBytes);
  content.erase(content.find_last_not_of(" \r\n") + 1);
  return content;
}

int sign(const PkiArguments& arguments) {
  const std::int64_t valid_s = seconds_in(arguments.valid);
  const auto asked = tls::CertificateRequest::from_pem(
      tls::read_whole_file(arguments.request, kMaxRequestBytes), arguments.request);
  tls::Authority authority(arguments.folder);
  const auto made = authority.sign(asked, token_of(arguments.token), now_s(), valid_s);
  if (made.pem.empty()) {
    throw ConfigError(text("the token does not buy a certificate for ", asked.node(), ": ",
                           tls::sentence_of(made.verdict)));
  }
  tls::write_private_file(arguments.out, made.pem);
  const auto certificate = tls::Certificate::from_pem(made.pem, arguments.out);
  const fs::path folder = arguments.folder;
  fmt::print("certificate  {} for {}, until {}{}\n", arguments.out, asked.node(),
             date(certificate.validity().not_after_s),
             made.verdict == tls::TokenVerdict::kRepeated ? " (the same as before)" : "");
  fmt::print("next         give it to the device, with {} and {}\n", (folder / "ca.crt").string(),
             (folder / "revoked.crl").string());
  return 0;
}

int revoke(const PkiArguments& arguments) {
  const std::int64_t count = tls::Authority(arguments.folder).revoke(arguments.node, now_s());
  fmt::print("revoked {} certificate{} of {}; {} says so\n", count, count == 1 ? "" : "s",
             arguments.node, (fs::path(arguments.folder) / "revoked.crl").string());
  return 0;
}

std::string state_of(const tls::IssuedRecord& issued, std::int64_t now) {
  if (issued.revoked_s >= 0) return "revoked";
  return now > issued.validity.not_after_s ? "expired" : "good";
}

std::string state_of(const tls::TokenRecord& token, std::int64_t now) {
  if (!token.key.empty()) return "used";
  if (token.is_withdrawn) return "withdrawn";
  return now >= token.expires_s ? "expired" : "unused";
}

int list(const PkiArguments& arguments) {
  const tls::Ledger ledger = tls::Authority(arguments.folder).ledger();
  const std::int64_t now = now_s();
  Table certificates({"certificate of", "serial", "until", ""}, "llll");
  Json::Array certificates_json;
  for (const auto& issued : ledger.issued) {
    const std::string name = issued.node.empty() ? "(coordinator)" : issued.node;
    certificates.add(
        {name, issued.serial, date(issued.validity.not_after_s), state_of(issued, now)});
    Json row;
    row.set("node", issued.node);
    row.set("serial", issued.serial);
    row.set("not_after_s", issued.validity.not_after_s);
    row.set("state", state_of(issued, now));
    certificates_json.push_back(std::move(row));
  }
  Table tokens({"token for", "until", ""}, "lll");
  Json::Array tokens_json;
  for (const auto& record : ledger.tokens) {
    tokens.add({record.node, date(record.expires_s), state_of(record, now)});
    Json row;
    row.set("node", record.node);
    row.set("expires_s", record.expires_s);
    row.set("state", state_of(record, now));
    tokens_json.push_back(std::move(row));
  }
  if (arguments.is_json) {
    Json json;
    json.set("certificates", std::move(certificates_json));
    json.set("tokens", std::move(tokens_json));
    fmt::print("{}\n", json.dump());
    return 0;
  }
  fmt::print("{}", certificates.text());
  if (!ledger.tokens.empty()) fmt::print("\n{}", tokens.text());
  return 0;
}

}  // namespace

std::vector<std::string_view> pki_actions() {
  return {"init", "token", "request", "sign", "revoke", "list"};
}

int pki_command(const PkiArguments& arguments) {
  switch (arguments.action) {
    case PkiAction::kInit:
      return init(arguments);
    case PkiAction::kToken:
      return token(arguments);
    case PkiAction::kRequest:
      return request(arguments);
    case PkiAction::kSign:
      return sign(arguments);
    case PkiAction::kRevoke:
      return revoke(arguments);
    case PkiAction::kList:
      return list(arguments);
  }
  throw Error("pki: expected an action, got none");
}

}  // namespace coppice
