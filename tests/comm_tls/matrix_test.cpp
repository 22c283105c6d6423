// Who is let in. 24 cells: twelve things that can be wrong with a peer, at each of the two ends.
// Every one ends the honest end's handshake with an error before it has read a byte of the
// application, although the other end writes some as soon as it can.

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "tests/comm_tls/loopback.h"

namespace coppice::tls {
namespace {

// What the peer of `end` should be, with one thing to be made wrong.
Forgery proper(End end, const Certificate& authority, const PrivateKey& authority_key) {
  const bool is_node = end == End::kCoordinator;
  return {.name = is_node ? "URI:coppice:node:edge-1" : "URI:coppice:coordinator",
          .usage = is_node ? "clientAuth" : "serverAuth",
          .issuer = &authority,
          .issuer_key = &authority_key};
}

End opposite(End end) { return end == End::kCoordinator ? End::kNode : End::kCoordinator; }

// The authority's files and one honest end.
struct Scene {
  Scene(const std::filesystem::path& folder, End which)
      : end(which),
        enrolled(folder),
        authority(enrolled.authority_certificate()),
        authority_key(enrolled.authority_key()),
        honest(enrolled.context(which)) {}

  Forgery good() const { return proper(end, authority, authority_key); }

  Saw meet(const Forgery& forgery, const PrivateKey& key = PrivateKey::generate()) const {
    const Certificate certificate = forge(key, forgery);
    return connect(end, honest->asio(), *careless(opposite(end), &certificate, &key));
  }

  // With a good certificate, but no newer version of TLS than `version`.
  Saw meet_at(int version) const {
    const PrivateKey key = PrivateKey::generate();
    const Certificate certificate = forge(key, good());
    const auto other = careless(opposite(end), &certificate, &key);
    SSL_CTX_set_max_proto_version(other->native_handle(), version);
    return connect(end, honest->asio(), *other);
  }

  End end;
  Enrolled enrolled;
  Certificate authority;
  PrivateKey authority_key;
  std::unique_ptr<TlsContext> honest;
};

Saw no_certificate(const Scene& scene) {
  return connect(scene.end, scene.honest->asio(), *careless(opposite(scene.end), nullptr, nullptr));
}

Saw self_signed(const Scene& scene) {
  Forgery forgery = scene.good();
  forgery.issuer = nullptr;
  forgery.issuer_key = nullptr;
  return scene.meet(forgery);
}

Saw wrong_authority(const Scene& scene) {
  const PrivateKey key = PrivateKey::generate();
  const Certificate other = make_authority(key, {kNow - kDay, kNow + kDay});
  return scene.meet(proper(scene.end, other, key));
}

Saw expired(const Scene& scene) {
  Forgery forgery = scene.good();
  forgery.validity = {kNow - kDay, kNow - 1};
  return scene.meet(forgery);
}

Saw not_yet_valid(const Scene& scene) {
  Forgery forgery = scene.good();
  forgery.validity = {kNow + 1, kNow + kDay};
  return scene.meet(forgery);
}

Saw wrong_usage(const Scene& scene) {
  Forgery forgery = scene.good();
  forgery.usage = scene.end == End::kCoordinator ? "serverAuth" : "clientAuth";
  return scene.meet(forgery);
}

Saw revoked(const Scene& scene) {
  const PrivateKey key = PrivateKey::generate();
  const Certificate certificate = forge(key, scene.good());
  put(scene.enrolled.authority_folder() / "revoked.crl",
      RevocationList::make_pem({certificate.serial()}, 2, kNow, scene.authority,
                               scene.authority_key));
  return connect(scene.end, scene.honest->asio(),
                 *careless(opposite(scene.end), &certificate, &key));
}

Saw wrong_name(const Scene& scene) {
  Forgery forgery = scene.good();
  forgery.name =
      scene.end == End::kCoordinator ? "URI:coppice:coordinator" : "URI:coppice:node:coordinator";
  return scene.meet(forgery);
}

Saw tls12(const Scene& scene) { return scene.meet_at(TLS1_2_VERSION); }
Saw tls11(const Scene& scene) { return scene.meet_at(TLS1_1_VERSION); }
Saw tls10(const Scene& scene) { return scene.meet_at(TLS1_VERSION); }

// Nothing speaks SSL 3.0 any more, so its first message is written out: record (handshake, 3.0),
// hello (3.0, random, no session, RC4-MD5 and AES-128-SHA, no compression).
Saw ssl3(const Scene& scene) {
  const bool is_client = scene.end == End::kCoordinator;
  std::string body("\x03\x00", 2);
  body += std::string(32, 'r') + std::string(1, '\0');
  body += is_client ? std::string("\x00\x04\x00\x04\x00\x2f\x01\x00", 8)
                    : std::string("\x00\x2f\x00", 3);
  std::string hello(1, is_client ? '\x01' : '\x02');
  hello += std::string(2, '\0') + static_cast<char>(body.size()) + body;
  std::string record("\x16\x03\x00\x00", 4);
  record += static_cast<char>(hello.size()) + hello;
  return connect_raw(scene.end, scene.honest->asio(), record + kApplicationBytes);
}

struct Cell {
  const char* name;
  Saw (*meet)(const Scene&);
  const char* refusal;  // "": it does not come to a certificate
};
constexpr Cell kCells[] = {
    {"NoCertificate", no_certificate, ""},
    {"SelfSigned", self_signed, "self-signed certificate"},
    {"WrongAuthority", wrong_authority, "unable to get local issuer certificate"},
    {"Expired", expired, "certificate has expired"},
    {"NotYetValid", not_yet_valid, "certificate is not yet valid"},
    {"WrongUsage", wrong_usage, "unsuitable certificate purpose"},
    {"Revoked", revoked, "certificate revoked"},
    {"WrongName", wrong_name, "the certificate's name is not"},
    {"Tls12", tls12, ""},
    {"Tls11", tls11, ""},
    {"Tls10", tls10, ""},
    {"Ssl3", ssl3, ""}};

class MatrixTest : public testing::TestWithParam<std::tuple<Cell, End>> {};

TEST_P(MatrixTest, FailsClosedBeforeAnApplicationByteIsRead) {
  const auto& [cell, end] = GetParam();
  const TemporaryFolder folder;
  const Scene scene(folder.path(), end);
  const Saw saw = cell.meet(scene);
  EXPECT_TRUE(saw.is_over);
  EXPECT_NE(saw.error, "");
  EXPECT_EQ(saw.bytes, "");
  EXPECT_EQ(saw.peer, "");
  if (*cell.refusal == '\0') {
    EXPECT_EQ(saw.refusal, "");
  } else {
    EXPECT_NE(saw.refusal.find(cell.refusal), std::string::npos) << saw.refusal;
  }
}

INSTANTIATE_TEST_SUITE_P(BothEnds, MatrixTest,
                         testing::Combine(testing::ValuesIn(kCells),
                                          testing::Values(End::kCoordinator, End::kNode)),
                         [](const auto& cell) {
                           return std::string(std::get<0>(cell.param).name) +
                                  (std::get<1>(cell.param) == End::kCoordinator ? "AtCoordinator"
                                                                                : "AtNode");
                         });

class PeerTest : public testing::TestWithParam<End> {};

// The cells above prove something only if the same peer without its flaw is let in.
TEST_P(PeerTest, TheSamePeerWithNothingWrongIsLetIn) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  const Saw saw = scene.meet(scene.good());
  EXPECT_EQ(saw.error, "");
  EXPECT_EQ(saw.refusal, "");
  EXPECT_EQ(saw.bytes, kApplicationBytes);
  EXPECT_EQ(saw.peer,
            GetParam() == End::kCoordinator ? "coppice:node:edge-1" : "coppice:coordinator");
  EXPECT_EQ(saw.version, "TLSv1.3");
  EXPECT_TRUE(saw.other_is_done);
}

TEST_P(PeerTest, NamesThatAreNotExactlyOneIdentityAreRefused) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  const std::string right = scene.good().name;
  const std::string names[] = {"",
                               "DNS:coppice.coordinator",
                               right + ",DNS:edge-1",
                               right + "," + right,
                               "URI:coppice:node:",
                               "URI:coppice:node:Edge-1",
                               "URI:coppice:node:../edge",
                               "URI:coppice:node:edge 1",
                               "URI:COPPICE:coordinator",
                               "URI:coppice:coordinator/",
                               "URI:coppice:node:" + std::string(65, 'a')};
  for (const std::string& name : names) {
    Forgery forgery = scene.good();
    forgery.name = name;
    const Saw saw = scene.meet(forgery);
    EXPECT_NE(saw.error, "") << name;
    EXPECT_EQ(saw.bytes, "") << name;
    EXPECT_NE(saw.refusal.find("the certificate's name is not"), std::string::npos) << saw.refusal;
  }
}

TEST_P(PeerTest, UsagesThatAreNotExactlyOneAreRefused) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  for (const char* usage : {"", "clientAuth,serverAuth", "codeSigning", "anyExtendedKeyUsage"}) {
    Forgery forgery = scene.good();
    forgery.usage = usage;
    const Saw saw = scene.meet(forgery);
    EXPECT_NE(saw.error, "") << usage;
    EXPECT_EQ(saw.bytes, "") << usage;
    EXPECT_NE(saw.refusal, "") << usage;
  }
}

TEST_P(PeerTest, AnAuthorityOfTheSameNameIsAnotherAuthority) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  const PrivateKey key = PrivateKey::generate();
  const Certificate twin = forge_authority_named_as(scene.authority, key);
  Forgery forgery = scene.good();
  forgery.issuer = &twin;
  forgery.issuer_key = &key;
  const PrivateKey leaf = PrivateKey::generate();
  const Certificate certificate = forge(leaf, forgery);
  const auto other = careless(opposite(scene.end), &certificate, &leaf);
  SSL_CTX_add1_chain_cert(other->native_handle(), twin.get());
  const Saw saw = connect(scene.end, scene.honest->asio(), *other);
  EXPECT_NE(saw.error, "");
  EXPECT_NE(saw.refusal, "");
  EXPECT_EQ(saw.bytes, "");
}

// The old versions fail for being old: with a peer that takes them they connect.
TEST_P(PeerTest, ThePeersOfOldVersionsDoSpeakThem) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  const PrivateKey key = PrivateKey::generate();
  const Certificate certificate = forge(key, scene.good());
  const std::pair<int, const char*> versions[] = {
      {TLS1_VERSION, "TLSv1"}, {TLS1_1_VERSION, "TLSv1.1"}, {TLS1_2_VERSION, "TLSv1.2"}};
  for (const auto& [version, name] : versions) {
    const auto other = careless(opposite(scene.end), &certificate, &key);
    SSL_CTX_set_max_proto_version(other->native_handle(), version);
    const auto open = careless(scene.end, &certificate, &key);
    SSL_CTX* const handle = open->native_handle();
    SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(handle), scene.authority.get());
    X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(handle), kNow);
    const Saw saw = connect(scene.end, *open, *other);
    EXPECT_EQ(saw.error, "") << name << ": " << saw.refusal;
    EXPECT_EQ(saw.version, name);
    EXPECT_EQ(saw.bytes, kApplicationBytes);
  }
}

// A node's certificate signs nothing, however good it is.
TEST_P(PeerTest, ACertificateSignedByANodeIsRefused) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  const PrivateKey middle_key = PrivateKey::generate();
  const Certificate middle = forge(middle_key, scene.good());
  Forgery forgery = scene.good();
  forgery.issuer = &middle;
  forgery.issuer_key = &middle_key;
  const PrivateKey leaf = PrivateKey::generate();
  const Certificate certificate = forge(leaf, forgery);
  const auto other = careless(opposite(scene.end), &certificate, &leaf);
  SSL_CTX_add1_chain_cert(other->native_handle(), middle.get());
  const Saw saw = connect(scene.end, scene.honest->asio(), *other);
  EXPECT_NE(saw.error, "");
  EXPECT_NE(saw.refusal, "");
  EXPECT_EQ(saw.bytes, "");
}

TEST_P(PeerTest, BytesThatAreNoTlsAreRefused) {
  const TemporaryFolder folder;
  const Scene scene(folder.path(), GetParam());
  for (const std::string& bytes :
       {kApplicationBytes, std::string("GET / HTTP/1.1\r\n\r\n"), std::string(64, '\0'),
        std::string(64, '\xff'), std::string("\x16\x03\x01\xff\xff", 5) + std::string(500, 'x')}) {
    const Saw saw = connect_raw(scene.end, scene.honest->asio(), bytes);
    EXPECT_TRUE(saw.is_over);
    EXPECT_NE(saw.error, "");
    EXPECT_EQ(saw.bytes, "");
  }
}

INSTANTIATE_TEST_SUITE_P(BothEnds, PeerTest, testing::Values(End::kCoordinator, End::kNode),
                         [](const auto& end) {
                           return end.param == End::kCoordinator ? "AtCoordinator" : "AtNode";
                         });

}  // namespace
}  // namespace coppice::tls
