#include "comm/tls/authority.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <thread>

#include "comm/tls/private_file.h"
#include "core/error.h"
#include "tests/comm_tls/forged.h"
#include "tests/coordinator/temporary_folder.h"
#include "tests/core/thrown.h"

namespace coppice::tls {
namespace {

namespace fs = std::filesystem;

CertificateRequest request_of(const std::string& node) {
  return CertificateRequest::make(PrivateKey::generate(), node);
}

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() { Authority::create(folder_.path() / "pki", {}, kNow); }

  fs::path pki() const { return folder_.path() / "pki"; }
  Authority open() const { return Authority(pki()); }
  RevocationList list() const {
    const auto certificate = Certificate::from_pem(content_of(pki() / "ca.crt"), "ca.crt");
    return RevocationList::from_pem(content_of(pki() / "revoked.crl"), certificate, "revoked.crl");
  }

  TemporaryFolder folder_;
};

TEST_F(AuthorityTest, FilesAreForTheirOwnerAloneWhateverTheUmask) {
  const mode_t before = ::umask(0);
  Authority::create(folder_.path() / "open", {}, kNow);
  ::umask(0777);
  Authority::create(folder_.path() / "shut", {}, kNow);
  ::umask(before);
  open().issue_token("edge-1", kNow, kDay);
  open().revoke("edge-1", kNow);
  for (const char* name : {"open", "shut", "pki"}) {
    const fs::path folder = folder_.path() / name;
    EXPECT_EQ(fs::status(folder).permissions(), fs::perms(0700)) << name;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename() == "lock") continue;
      EXPECT_EQ(entry.status().permissions(), fs::perms(0600)) << entry.path();
      ++files;
    }
    EXPECT_EQ(files, 6);
  }
}

TEST_F(AuthorityTest, AFolderWithSomethingInItIsLeftAlone) {
  const std::string key = content_of(pki() / "ca.key");
  EXPECT_THROW(Authority::create(pki(), {}, kNow), ConfigError);
  EXPECT_EQ(content_of(pki() / "ca.key"), key);
  fs::create_directory(folder_.path() / "empty");
  EXPECT_NO_THROW(Authority::create(folder_.path() / "empty", {}, kNow));
  EXPECT_THROW(Authority(folder_.path() / "nowhere"), DataError);
}

TEST_F(AuthorityTest, ATokenBuysOneCertificate) {
  Authority authority = open();
  const std::string token = authority.issue_token("edge-1", kNow, kDay);
  const CertificateRequest request = request_of("edge-1");
  const auto made = authority.sign(request, token, kNow, 30 * kDay);
  EXPECT_EQ(made.verdict, TokenVerdict::kGood);
  const auto certificate = Certificate::from_pem(made.pem, "made");
  EXPECT_EQ(certificate.identity(), (Identity{Identity::Role::kNode, "edge-1"}));
  EXPECT_EQ(certificate.validity(), (Validity{kNow - kBackdatingSeconds, kNow + 30 * kDay}));
  EXPECT_EQ(authority.sign(request_of("edge-1"), token, kNow, kDay).verdict, TokenVerdict::kUsed);
  EXPECT_EQ(open().sign(request_of("edge-1"), token, kNow, kDay).pem, "");
  EXPECT_EQ(authority.ledger().issued.size(), 2U);
}

TEST_F(AuthorityTest, ACertificateThatWasLostOnItsWayIsGivenOutAgain) {
  const std::string token = open().issue_token("edge-1", kNow, kDay);
  const CertificateRequest request = request_of("edge-1");
  const auto first = open().sign(request, token, kNow, 30 * kDay);
  const auto again = open().sign(request, token, kNow + 5 * kDay, 90 * kDay);
  EXPECT_EQ(again.verdict, TokenVerdict::kRepeated);
  EXPECT_EQ(again.pem, first.pem);
  EXPECT_EQ(open().ledger().issued.size(), 2U);
}

TEST_F(AuthorityTest, TokensThatAreNotGoodSignNothing) {
  Authority authority = open();
  const std::string token = authority.issue_token("edge-1", kNow, kDay);
  const auto verdict = [&](const std::string& node, const std::string& shown, std::int64_t now_s) {
    const auto answer = authority.sign(request_of(node), shown, now_s, kDay);
    EXPECT_EQ(answer.pem, "");
    return answer.verdict;
  };
  EXPECT_EQ(verdict("edge-2", token, kNow), TokenVerdict::kOtherNode);
  EXPECT_EQ(verdict("edge-1", token, kNow + kDay), TokenVerdict::kExpired);
  EXPECT_EQ(verdict("edge-1", std::string(64, '0'), kNow), TokenVerdict::kUnknown);
  EXPECT_EQ(verdict("edge-1", "", kNow), TokenVerdict::kUnknown);
  EXPECT_EQ(authority.ledger().issued.size(), 1U);
  EXPECT_EQ(authority.sign(request_of("edge-1"), token, kNow, kDay).verdict, TokenVerdict::kGood);
}

TEST_F(AuthorityTest, OfManyThatRaceForATokenOneWins) {
  const std::string token = open().issue_token("edge-1", kNow, kDay);
  constexpr int kRacers = 8;
  std::vector<TokenVerdict> verdicts(kRacers);
  std::vector<std::thread> racers;
  racers.reserve(kRacers);
  for (int i = 0; i < kRacers; ++i) {
    racers.emplace_back([&, i] {
      verdicts[static_cast<std::size_t>(i)] =
          open().sign(request_of("edge-1"), token, kNow, kDay).verdict;
    });
  }
  for (std::thread& racer : racers) racer.join();
  EXPECT_EQ(std::count(verdicts.begin(), verdicts.end(), TokenVerdict::kGood), 1);
  EXPECT_EQ(std::count(verdicts.begin(), verdicts.end(), TokenVerdict::kUsed), kRacers - 1);
  EXPECT_EQ(open().ledger().issued.size(), 2U);
}

TEST_F(AuthorityTest, TokensAreNotInAnyFile) {
  const std::string token = open().issue_token("edge-1", kNow, kDay);
  open().sign(request_of("edge-1"), token, kNow, kDay);
  for (const auto& entry : fs::directory_iterator(pki()))
    EXPECT_EQ(content_of(entry.path()).find(token), std::string::npos) << entry.path();
}

TEST_F(AuthorityTest, RevokingTakesBackCertificatesAndUnusedTokens) {
  Authority authority = open();
  const auto enrol = [&](const std::string& node, std::int64_t valid_s) {
    const std::string token = authority.issue_token(node, kNow, kDay);
    return Certificate::from_pem(authority.sign(request_of(node), token, kNow, valid_s).pem, node)
        .serial();
  };
  const std::string one = enrol("edge-1", kDay);
  const std::string two = enrol("edge-1", 90 * kDay);
  const std::string other = enrol("edge-2", 90 * kDay);
  const std::string unused = authority.issue_token("edge-1", kNow, 9 * kDay);
  EXPECT_EQ(authority.revoke("edge-1", kNow + 2 * kDay), 1) << "the first has run out";
  EXPECT_FALSE(list().contains(one));
  EXPECT_TRUE(list().contains(two));
  EXPECT_FALSE(list().contains(other));
  EXPECT_EQ(list().number(), 2);
  EXPECT_EQ(authority.sign(request_of("edge-1"), unused, kNow, kDay).verdict,
            TokenVerdict::kWithdrawn);
  EXPECT_EQ(authority.revoke("edge-1", kNow + 2 * kDay), 0);
  EXPECT_EQ(list().number(), 3);
  EXPECT_THROW(authority.revoke("edge-3", kNow), ConfigError);
  EXPECT_THROW(authority.revoke("", kNow), ConfigError);
}

TEST_F(AuthorityTest, ARevokedCertificateIsNotGivenOutAgain) {
  const std::string token = open().issue_token("edge-1", kNow, kDay);
  const CertificateRequest request = request_of("edge-1");
  open().sign(request, token, kNow, kDay);
  open().revoke("edge-1", kNow);
  const auto again = open().sign(request, token, kNow, kDay);
  EXPECT_EQ(again.verdict, TokenVerdict::kWithdrawn);
  EXPECT_EQ(again.pem, "");
}

TEST_F(AuthorityTest, ACertificateDoesNotOutliveTheAuthority) {
  Authority::create(folder_.path() / "short", {.valid_s = 10 * kDay}, kNow);
  Authority authority(folder_.path() / "short");
  const auto sign = [&](const std::string& node, std::int64_t now_s, std::int64_t valid_s) {
    const std::string token = authority.issue_token(node, now_s, kDay);
    return authority.sign(request_of(node), token, now_s, valid_s).pem;
  };
  const auto made = Certificate::from_pem(sign("edge-1", kNow, 90 * kDay), "made");
  EXPECT_EQ(made.validity().not_after_s, kNow + 10 * kDay);
  EXPECT_THROW(sign("edge-2", kNow + 10 * kDay, kDay), ConfigError);
  EXPECT_THROW(sign("edge-3", kNow, 0), ConfigError);
}

TEST_F(AuthorityTest, EveryTruncationAndFlippedBitOfTheLedgerIsRefused) {
  open().issue_token("edge-1", kNow, kDay);
  const std::string good = to_text(Ledger{.tokens = open().ledger().tokens, .list_number = 7});
  EXPECT_EQ(to_text(ledger_from(good, "ledger")), good);
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_THROW(ledger_from(good.substr(0, length), "ledger"), DataError) << length;
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string flipped = good;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_THROW(ledger_from(flipped, "ledger"), DataError) << bit;
  }
  put(pki() / "ledger.json", good + good);
  EXPECT_THROW(open(), DataError);
}

TEST_F(AuthorityTest, FilesOfAnotherAuthorityAndOpenFilesAreRefused) {
  Authority::create(folder_.path() / "other", {}, kNow);
  const std::string certificate = content_of(pki() / "ca.crt");
  put(pki() / "ca.crt", content_of(folder_.path() / "other" / "ca.crt"));
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { open(); }), "the key in ca.key"));
  put(pki() / "ca.crt", certificate);
  EXPECT_NO_THROW(open());
  for (const char* secret : {"ca.key", "ledger.json"}) {
    fs::permissions(pki() / secret, fs::perms(0604));
    EXPECT_TRUE(contains(thrown_text<DataError>([&] { open(); }), "expected mode 600, got 604"));
    fs::permissions(pki() / secret, fs::perms(0600));
  }
}

// Killed by the system in the middle of the write of the new ledger.
TEST_F(AuthorityTest, KilledWhileSigningNothingHasHappened) {
  const std::string token = open().issue_token("edge-1", kNow, kDay);
  const CertificateRequest request = request_of("edge-1");
  const std::string ledger = content_of(pki() / "ledger.json");
  const auto die = [&] {
    const rlimit limit{ledger.size() / 2, ledger.size() / 2};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    open().sign(request, token, kNow, kDay);
  };
  EXPECT_EXIT(die(), testing::KilledBySignal(SIGXFSZ), "");
  EXPECT_TRUE(fs::exists(pki() / "ledger.json.tmp"));
  EXPECT_EQ(content_of(pki() / "ledger.json"), ledger);
  EXPECT_EQ(open().sign(request, token, kNow, kDay).verdict, TokenVerdict::kGood);
}

TEST(PrivateFileTest, AnExistingFileIsKeptIfAskedAndNoTemporaryStays) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "key";
  write_private_file(path, "one", Existing::kRefuse);
  EXPECT_THROW(write_private_file(path, "two", Existing::kRefuse), ConfigError);
  EXPECT_EQ(content_of(path), "one");
  write_private_file(path, "three");
  EXPECT_EQ(content_of(path), "three");
  EXPECT_FALSE(fs::exists(folder.path() / "key.tmp"));
  EXPECT_THROW(write_private_file(folder.path() / "no" / "key", "x"), ConfigError);
}

// A link at the place of the temporary file must not lead the bytes elsewhere.
TEST(PrivateFileTest, LinksAreReplacedAndNotFollowed) {
  const TemporaryFolder folder;
  put(folder.path() / "victim", "as it was");
  fs::create_symlink(folder.path() / "victim", folder.path() / "key.tmp");
  fs::create_symlink(folder.path() / "victim", folder.path() / "key");
  write_private_file(folder.path() / "key", "secret");
  EXPECT_EQ(content_of(folder.path() / "victim"), "as it was");
  EXPECT_EQ(content_of(folder.path() / "key"), "secret");
  EXPECT_FALSE(fs::is_symlink(folder.path() / "key"));
}

}  // namespace
}  // namespace coppice::tls
