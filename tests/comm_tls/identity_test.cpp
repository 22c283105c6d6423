#include "comm/tls/identity.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/comm_tls/forged.h"
#include "tests/core/thrown.h"

namespace coppice::tls {
namespace {

constexpr Validity kYear{kNow - kDay, kNow + 365 * kDay};

struct Root {
  PrivateKey key = PrivateKey::generate();
  Certificate certificate = make_authority(key, kYear);
};

// Calls `check` with every prefix of `text` and with every single bit of it flipped.
template <typename Check>
void damage(const std::string& text, Check&& check) {
  for (std::size_t length = 0; length + 1 < text.size(); ++length) check(text.substr(0, length));
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    check(flipped);
  }
}

TEST(IdentityTest, UrisReadBackAndNothingElseIsOne) {
  const Identity node{Identity::Role::kNode, "edge-1"};
  const Identity coordinator{Identity::Role::kCoordinator};
  EXPECT_EQ(uri_of(node), "coppice:node:edge-1");
  EXPECT_EQ(uri_of(coordinator), "coppice:coordinator");
  EXPECT_EQ(identity_of(uri_of(node)), node);
  EXPECT_EQ(identity_of(uri_of(coordinator)), coordinator);
  for (const char* other : {"", "coppice:", "coppice:node", "coppice:node:", "coppice:nodes:a",
                            "coppice:coordinator2", "Coppice:coordinator", "coppice:node:a:b"})
    EXPECT_EQ(identity_of(other), std::nullopt) << other;
}

TEST(PrivateKeyTest, ReadsBackWithItsType) {
  for (const KeyType type : {KeyType::kP256, KeyType::kEd25519}) {
    const PrivateKey key = PrivateKey::generate(type);
    EXPECT_EQ(key.type(), type);
    const PrivateKey read = PrivateKey::from_pem(key.pem(), "key");
    EXPECT_EQ(read.type(), type);
    EXPECT_EQ(read.pem(), key.pem());
    EXPECT_EQ(key_type_named(name_of(type)), type);
  }
  EXPECT_NE(PrivateKey::generate().pem(), PrivateKey::generate().pem());
  EXPECT_THROW(key_type_named("rsa"), ConfigError);
}

// Now and then a flip makes another key, whose halves belong together: no certificate is for that.
TEST(PrivateKeyTest, DamageIsRefusedOrLeavesAWholeKey) {
  const PrivateKey key = PrivateKey::generate();
  damage(key.pem(), [&](const std::string& damaged) {
    try {
      const PrivateKey read = PrivateKey::from_pem(damaged, "node.key");
      CertificateRequest::from_pem(CertificateRequest::make(read, "a").pem(), "signed with it");
    } catch (const DataError& error) {
      EXPECT_TRUE(contains(error.what(), "node.key: expected"));
    }
  });
}

TEST(PrivateKeyTest, OtherKeysAndWhatIsBehindOneAreRefused) {
  const auto error_of = [](const std::string& pem) {
    return thrown_text<DataError>([&] { PrivateKey::from_pem(pem, "node.key"); });
  };
  // Made with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp384r1
  const std::string p384 =
      "-----BEGIN PRIVATE KEY-----\n"
      "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDA0wzo7k6cktCLuimua\n"
      "WAPuZKx+/HYAKA9ZHeKmKy8zcwjyJ/4aPpwgSI4KJPmRGP+hZANiAATzTZSM/mX+\n"
      "ctuVxnKN1nvKn3etKM0aRhUZq0EhK1DugV695fmjLaKujddlHyyC8xf2ax1lhh47\n"
      "8/usIvYv4sFsDRb0QORqYTJtocT9f7u7uy+xkG8iRa2WkKsx8yaISeQ=\n"
      "-----END PRIVATE KEY-----\n";
  EXPECT_TRUE(contains(error_of(p384), "a key of another type"));
  const std::string pem = PrivateKey::generate().pem();
  EXPECT_TRUE(contains(error_of(pem + pem), "more behind it"));
  EXPECT_EQ(error_of(pem + "\n \n"), "");
  EXPECT_TRUE(contains(error_of(std::string(5000, 'x')), "5000 bytes"));
  EXPECT_NE(error_of(""), "");
  const std::string mark = pem.substr(40, 20);
  EXPECT_FALSE(contains(error_of(pem.substr(0, 120)), mark)) << "a message shows key material";
}

TEST(CertificateTest, ANodesCertificateHasItsNameUsageAndTimes) {
  const Root root;
  const PrivateKey key = PrivateKey::generate();
  const Validity validity{kNow, kNow + 90 * kDay};
  const Certificate made =
      sign_node(CertificateRequest::make(key, "edge-1"), validity, root.certificate, root.key);
  const Certificate read = Certificate::from_pem(made.pem(), "node.crt");
  EXPECT_EQ(read.identity(), (Identity{Identity::Role::kNode, "edge-1"}));
  EXPECT_EQ(read.validity(), validity);
  EXPECT_TRUE(read.is_signed_by(root.certificate));
  EXPECT_FALSE(read.is_signed_by(Root().certificate));
  EXPECT_TRUE(read.belongs_to(key));
  EXPECT_FALSE(read.belongs_to(PrivateKey::generate()));
  EXPECT_EQ(read.fingerprint(), made.fingerprint());
  EXPECT_EQ(read.serial().size(), 32U);
}

TEST(CertificateTest, SerialsDiffer) {
  const Root root;
  std::set<std::string> serials;
  const PrivateKey key = PrivateKey::generate();
  for (int i = 0; i < 50; ++i) {
    serials.insert(sign_coordinator(key, {kNow, kNow + kDay}, root.certificate, root.key).serial());
  }
  EXPECT_EQ(serials.size(), 50U);
}

TEST(CertificateTest, OneThatWouldOutliveItsAuthorityIsRefused) {
  const Root root;
  const auto sign = [&](const Validity& validity) {
    sign_coordinator(root.key, validity, root.certificate, root.key);
  };
  EXPECT_NO_THROW(sign(kYear));
  EXPECT_THROW(sign({kYear.not_before_s, kYear.not_after_s + 1}), ConfigError);
  EXPECT_THROW(sign({kYear.not_before_s - 1, kYear.not_after_s}), ConfigError);
  EXPECT_THROW(sign({kNow, kNow}), ConfigError);
}

TEST(CertificateTest, DamageIsRefusedOrLeavesNoValidSignature) {
  const Root root;
  const Certificate made =
      sign_coordinator(PrivateKey::generate(), {kNow, kNow + kDay}, root.certificate, root.key);
  damage(made.pem(), [&](const std::string& damaged) {
    try {
      const Certificate read = Certificate::from_pem(damaged, "x.crt");
      EXPECT_TRUE(read.fingerprint() == made.fingerprint() || !read.is_signed_by(root.certificate));
    } catch (const DataError& error) {
      EXPECT_TRUE(contains(error.what(), "expected"));
    }
  });
}

TEST(CertificateRequestTest, ReadsBackWithItsNode) {
  const PrivateKey key = PrivateKey::generate(KeyType::kEd25519);
  const CertificateRequest made = CertificateRequest::make(key, "edge-1");
  const CertificateRequest read = CertificateRequest::from_pem(made.pem(), "node.csr");
  EXPECT_EQ(read.node(), "edge-1");
  EXPECT_EQ(read.key_fingerprint(), made.key_fingerprint());
  EXPECT_EQ(made.pem().find("PRIVATE"), std::string::npos);
  EXPECT_THROW(CertificateRequest::make(key, "Edge"), ConfigError);
}

TEST(CertificateRequestTest, DamageIsRefusedOrChangesNothing) {
  const CertificateRequest made = CertificateRequest::make(PrivateKey::generate(), "edge-1");
  damage(made.pem(), [&](const std::string& damaged) {
    try {
      const CertificateRequest read = CertificateRequest::from_pem(damaged, "x.csr");
      EXPECT_EQ(read.node(), made.node());
      EXPECT_EQ(read.key_fingerprint(), made.key_fingerprint());
    } catch (const DataError& error) {
      EXPECT_TRUE(contains(error.what(), "x.csr: expected"));
    }
  });
}

TEST(RevocationListTest, HoldsTheSerialsAndItsNumber) {
  const Root root;
  const std::set<std::string> serials = {"01", "7f00ff", std::string(32, '5')};
  const std::string pem = RevocationList::make_pem(serials, 12, kNow, root.certificate, root.key);
  const RevocationList list = RevocationList::from_pem(pem, root.certificate, "revoked.crl");
  EXPECT_EQ(list.size(), 3U);
  EXPECT_EQ(list.number(), 12);
  for (const std::string& serial : serials) EXPECT_TRUE(list.contains(serial)) << serial;
  EXPECT_FALSE(list.contains("02"));
  const auto empty = RevocationList::make_pem({}, 1, kNow, root.certificate, root.key);
  EXPECT_EQ(RevocationList::from_pem(empty, root.certificate, "revoked.crl").size(), 0U);
}

TEST(RevocationListTest, DamageAndOtherAuthoritiesAreRefused) {
  const Root root;
  const std::string pem = RevocationList::make_pem({"0102"}, 12, kNow, root.certificate, root.key);
  EXPECT_THROW(RevocationList::from_pem(pem, Root().certificate, "revoked.crl"), DataError);
  damage(pem, [&](const std::string& damaged) {
    try {
      const auto list = RevocationList::from_pem(damaged, root.certificate, "revoked.crl");
      EXPECT_TRUE(list.contains("0102"));
      EXPECT_EQ(list.number(), 12);
    } catch (const DataError& error) {
      EXPECT_TRUE(contains(error.what(), "revoked.crl: expected"));
    }
  });
}

}  // namespace
}  // namespace coppice::tls
