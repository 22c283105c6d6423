#include "comm/tls/authority.h"

#include <algorithm>  // for min, max, find_if
#include <utility>    // for move

#include "comm/tls/private_file.h"
#include "core/error.h"
#include "core/node_id.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxPemBytes = 16384;
constexpr std::int64_t kMaxLedgerBytes = std::int64_t{256} << 20;

IssuedRecord record_of(const Certificate& certificate, const std::string& node) {
  return {certificate.serial(), node, certificate.validity(), certificate.pem()};
}

PrivateKey key_in(const fs::path& path) {
  return PrivateKey::from_pem(read_private_file(path, kMaxPemBytes), path.string());
}

Certificate certificate_in(const fs::path& path) {
  return Certificate::from_pem(read_whole_file(path, kMaxPemBytes), path.string());
}

}  // namespace

void Authority::create(const fs::path& folder, const AuthorityOptions& options,
                       std::int64_t now_s) {
  if (options.valid_s < 1)
    throw ConfigError(text("validity: expected at least a second, got ", options.valid_s));
  make_private_folder(folder);
  const FolderLock lock(folder);
  const Validity validity{now_s - kBackdatingSeconds, now_s + options.valid_s};
  const PrivateKey key = PrivateKey::generate(options.key_type);
  const Certificate certificate = make_authority(key, validity);
  const PrivateKey coordinator_key = PrivateKey::generate(options.key_type);
  const Certificate coordinator = sign_coordinator(coordinator_key, validity, certificate, key);
  Ledger ledger;
  ledger.issued.push_back(record_of(coordinator, ""));
  ledger.list_number = 1;
  write_private_file(folder / "ca.key", key.pem(), Existing::kRefuse);
  write_private_file(folder / "ca.crt", certificate.pem(), Existing::kRefuse);
  write_private_file(folder / "coordinator.key", coordinator_key.pem(), Existing::kRefuse);
  write_private_file(folder / "coordinator.crt", coordinator.pem(), Existing::kRefuse);
  write_private_file(folder / "revoked.crl",
                     RevocationList::make_pem({}, ledger.list_number, now_s, certificate, key),
                     Existing::kRefuse);
  write_private_file(folder / "ledger.json", to_text(ledger), Existing::kRefuse);
}

Authority::Authority(fs::path folder)
    : folder_(std::move(folder)),
      key_(key_in(folder_ / "ca.key")),
      certificate_(certificate_in(folder_ / "ca.crt")) {
  if (!certificate_.belongs_to(key_) || !certificate_.is_signed_by(certificate_)) {
    throw DataError(text("'", (folder_ / "ca.crt").string(),
                         "': expected the certificate of the key in ca.key, got another"));
  }
  read_ledger();
}

Ledger Authority::read_ledger() const {
  const fs::path path = folder_ / "ledger.json";
  return ledger_from(read_private_file(path, kMaxLedgerBytes), path.string());
}

void Authority::commit(const Ledger& ledger) const {
  write_private_file(folder_ / "ledger.json", to_text(ledger));
}

void Authority::write_list(const Ledger& ledger, std::int64_t now_s) const {
  write_private_file(folder_ / "revoked.crl",
                     RevocationList::make_pem(ledger.revoked_serials(), ledger.list_number, now_s,
                                              certificate_, key_));
}

Ledger Authority::ledger() const { return read_ledger(); }

std::string Authority::issue_token(const std::string& node, std::int64_t now_s,
                                   std::int64_t lifetime_s) {
  const FolderLock lock(folder_);
  Ledger ledger = read_ledger();
  NewToken token = make_token(node, now_s, lifetime_s);
  ledger.tokens.push_back(token.record);
  commit(ledger);
  return token.text;
}

SignedCertificate Authority::sign(const CertificateRequest& request, std::string_view token,
                                  std::int64_t now_s, std::int64_t valid_s) {
  const FolderLock lock(folder_);
  Ledger ledger = read_ledger();
  const std::string key = request.key_fingerprint();
  const TokenAnswer answer = judge_token(ledger.tokens, token, request.node(), key, now_s);
  if (answer.verdict == TokenVerdict::kRepeated) {
    const std::string& serial = ledger.tokens[answer.found].certificate;
    const auto given = std::find_if(ledger.issued.begin(), ledger.issued.end(),
                                    [&](const auto& issued) { return issued.serial == serial; });
    if (given == ledger.issued.end())
      throw DataError(text("ledger: expected certificate ", serial, ", got none"));
    if (given->revoked_s >= 0) return {TokenVerdict::kWithdrawn};
    return {answer.verdict, given->pem};
  }
  if (answer.verdict != TokenVerdict::kGood) return {answer.verdict};
  const std::int64_t end = std::min(now_s + valid_s, certificate_.validity().not_after_s);
  const std::int64_t begin =
      std::max(now_s - kBackdatingSeconds, certificate_.validity().not_before_s);
  if (end <= now_s)
    throw ConfigError(text("certificate for ", request.node(), ": it would end at ", end,
                           " (seconds since 1970), now is ", now_s));
  const Certificate made = sign_node(request, {begin, end}, certificate_, key_);
  ledger.issued.push_back(record_of(made, request.node()));
  ledger.tokens[answer.found].key = key;
  ledger.tokens[answer.found].certificate = made.serial();
  commit(ledger);
  return {answer.verdict, made.pem()};
}

std::int64_t Authority::revoke(const std::string& node, std::int64_t now_s) {
  check_node_id(node);
  const FolderLock lock(folder_);
  Ledger ledger = read_ledger();
  bool is_known = false;
  std::int64_t count = 0;
  for (IssuedRecord& issued : ledger.issued) {
    if (issued.node != node) continue;
    is_known = true;
    if (issued.revoked_s >= 0 || issued.validity.not_after_s < now_s) continue;
    issued.revoked_s = now_s;
    ++count;
  }
  for (TokenRecord& token : ledger.tokens) {
    if (token.node != node) continue;
    is_known = true;
    if (token.key.empty()) token.is_withdrawn = true;
  }
  if (!is_known)
    throw ConfigError(
        text("there is no node '", node, "'; see coppice pki list ", folder_.string()));
  ++ledger.list_number;
  commit(ledger);
  write_list(ledger, now_s);
  return count;
}

}  // namespace coppice::tls
