#include "comm/tls/context.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "comm/tls/private_file.h"
#include "core/error.h"
#include "tests/comm_tls/loopback.h"
#include "tests/core/thrown.h"

namespace coppice::tls {
namespace {

TEST(ContextTest, BothEndsKnowEachOtherByNameForEveryTypeOfKey) {
  for (const KeyType authority : {KeyType::kP256, KeyType::kEd25519}) {
    for (const KeyType node : {KeyType::kP256, KeyType::kEd25519}) {
      const TemporaryFolder folder;
      const Enrolled enrolled(folder.path() / "a", authority, node);
      const auto coordinator = enrolled.context(End::kCoordinator);
      const auto edge = enrolled.context(End::kNode);
      const Saw server = connect(End::kCoordinator, coordinator->asio(), edge->asio());
      EXPECT_EQ(server.error, "") << server.refusal;
      EXPECT_EQ(server.peer, "coppice:node:edge-1");
      EXPECT_EQ(server.bytes, kApplicationBytes);
      const Saw client = connect(End::kNode, edge->asio(), coordinator->asio());
      EXPECT_EQ(client.error, "") << client.refusal;
      EXPECT_EQ(client.peer, "coppice:coordinator");
      EXPECT_EQ(client.version, "TLSv1.3");
      EXPECT_EQ(client.bytes, kApplicationBytes);
    }
  }
}

TEST(ContextTest, NoSessionIsResumed) {
  const TemporaryFolder folder;
  const Enrolled enrolled(folder.path());
  const auto coordinator = enrolled.context(End::kCoordinator);
  const auto key = PrivateKey::from_pem(content_of(enrolled.files(End::kNode).key), "key");
  const auto own =
      Certificate::from_pem(content_of(enrolled.files(End::kNode).certificate), "certificate");
  // A client that would resume if it were given a ticket; one is asked for by default.
  const auto client = careless(End::kNode, &own, &key);
  SSL_CTX_set_session_cache_mode(client->native_handle(), SSL_SESS_CACHE_CLIENT);
  static int tickets = 0;
  tickets = 0;
  SSL_CTX_sess_set_new_cb(client->native_handle(), [](SSL*, SSL_SESSION* session) {
    tickets += SSL_SESSION_is_resumable(session);
    return 0;
  });
  for (int i = 0; i < 2; ++i) {
    const Saw saw = connect(End::kCoordinator, coordinator->asio(), *client);
    EXPECT_EQ(saw.bytes, kApplicationBytes) << saw.error;
    EXPECT_FALSE(saw.is_resumed);
  }
  EXPECT_EQ(tickets, 0);
}

TEST(ContextTest, RevocationCountsFromTheNextHandshakeWithoutARestart) {
  const TemporaryFolder folder;
  const Enrolled enrolled(folder.path());
  const auto coordinator = enrolled.context(End::kCoordinator);
  const auto edge = enrolled.context(End::kNode);
  EXPECT_EQ(connect(End::kCoordinator, coordinator->asio(), edge->asio()).error, "");
  EXPECT_EQ(Authority(enrolled.authority_folder()).revoke("edge-1", kNow), 1);
  const Saw saw = connect(End::kCoordinator, coordinator->asio(), edge->asio());
  EXPECT_NE(saw.error, "");
  EXPECT_EQ(saw.refusal, "certificate revoked");
  EXPECT_EQ(saw.bytes, "");
}

TEST(ContextTest, SessionsThatAreOpenSeeRevocationAndTheEndOfTheCertificate) {
  const TemporaryFolder folder;
  const Enrolled enrolled(folder.path());
  std::int64_t now = kNow;
  TlsContext coordinator(End::kCoordinator, enrolled.files(End::kCoordinator), [&] { return now; });
  const auto own =
      Certificate::from_pem(content_of(enrolled.files(End::kNode).certificate), "certificate");
  const Peer peer{*own.identity(), own.serial(), own.fingerprint(), own.validity().not_after_s};
  EXPECT_TRUE(coordinator.is_still_good(peer));
  now = peer.not_after_s;
  EXPECT_TRUE(coordinator.is_still_good(peer));
  ++now;
  EXPECT_FALSE(coordinator.is_still_good(peer));
  now = kNow;
  Authority(enrolled.authority_folder()).revoke("edge-1", kNow);
  EXPECT_FALSE(coordinator.is_still_good(peer));
}

TEST(ContextTest, NobodyIsLetInWhileTheListCannotBeRead) {
  const TemporaryFolder folder;
  const Enrolled enrolled(folder.path());
  const auto path = enrolled.files(End::kCoordinator).revocation_list;
  const std::string good = content_of(path);
  const auto coordinator = enrolled.context(End::kCoordinator);
  const PrivateKey stranger = PrivateKey::generate();
  const Certificate other = make_authority(stranger, {kNow - kDay, kNow + kDay});
  const std::string foreign = RevocationList::make_pem({}, 9, kNow, other, stranger);
  for (const std::string& damaged : {std::string(), good.substr(0, good.size() / 2), foreign}) {
    put(path, damaged);
    const auto key = PrivateKey::from_pem(content_of(enrolled.files(End::kNode).key), "key");
    const auto own =
        Certificate::from_pem(content_of(enrolled.files(End::kNode).certificate), "own");
    const Saw saw =
        connect(End::kCoordinator, coordinator->asio(), *careless(End::kNode, &own, &key));
    EXPECT_NE(saw.error, "");
    EXPECT_EQ(saw.refusal, "the list of revoked certificates cannot be read");
    EXPECT_EQ(saw.bytes, "");
    EXPECT_THROW(enrolled.context(End::kCoordinator), DataError);
  }
  write_private_file(path, good);
  const auto edge = enrolled.context(End::kNode);
  EXPECT_EQ(connect(End::kCoordinator, coordinator->asio(), edge->asio()).error, "");
}

TEST(ContextTest, AnOlderListDoesNotTakeARevocationBack) {
  const TemporaryFolder folder;
  const Enrolled enrolled(folder.path());
  const auto path = enrolled.files(End::kCoordinator).revocation_list;
  const std::string before = content_of(path);
  const auto edge = enrolled.context(End::kNode);
  Authority(enrolled.authority_folder()).revoke("edge-1", kNow);
  RevocationFile list(path, enrolled.authority_certificate());
  EXPECT_FALSE(list.contains("00"));
  write_private_file(path, before);
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { list.contains("00"); }),
                       "expected revocation list 2 or a later one, got 1"));
}

TEST(ContextTest, FilesThatDoNotBelongTogetherAreNamed) {
  const TemporaryFolder folder;
  const Enrolled one(folder.path() / "one");
  const Enrolled two(folder.path() / "two");
  const auto error_of = [](End end, const TlsFiles& files) {
    return thrown_text<DataError>([&] { TlsContext(end, files, [] { return kNow; }); });
  };
  const TlsFiles good = one.files(End::kNode);
  EXPECT_EQ(error_of(End::kNode, good), "");
  TlsFiles files = good;
  files.authority = two.files(End::kNode).authority;
  EXPECT_TRUE(contains(error_of(End::kNode, files), "expected a certificate of the authority"));
  files = good;
  files.key = two.files(End::kNode).key;
  EXPECT_TRUE(contains(error_of(End::kNode, files), "expected the certificate of the key"));
  EXPECT_TRUE(
      contains(error_of(End::kCoordinator, good), "expected the coordinator's certificate"));
  EXPECT_TRUE(contains(error_of(End::kNode, one.files(End::kCoordinator)),
                       "expected a node's certificate"));
  files = good;
  files.revocation_list = two.files(End::kNode).revocation_list;
  EXPECT_TRUE(contains(error_of(End::kNode, files), "signed by the authority"));
  for (auto TlsFiles::*file :
       {&TlsFiles::authority, &TlsFiles::certificate, &TlsFiles::key, &TlsFiles::revocation_list}) {
    files = good;
    files.*file = folder.path() / "nowhere";
    EXPECT_TRUE(contains(error_of(End::kNode, files), "nowhere"));
  }
}

TEST(ContextTest, AKeyThatOthersMayReadIsRefused) {
  const TemporaryFolder folder;
  const Enrolled enrolled(folder.path());
  std::filesystem::permissions(enrolled.files(End::kNode).key, std::filesystem::perms(0640));
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { enrolled.context(End::kNode); }),
                       "expected mode 600, got 640"));
}

}  // namespace
}  // namespace coppice::tls
