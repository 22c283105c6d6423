// `coppice pki` as a user has it: exit codes, one paragraph on stderr, modes of files, and a token
// that two processes want.

#include <gtest/gtest.h>

#include <regex>

#include "core/json.h"
#include "tests/data/data_files.h"
#include "tests/end_to_end/process.h"
#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

class PkiTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  Command command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {std::string(COPPICE_BINARY_DIR) + "/coppice", "pki"});
    return {.arguments = std::move(arguments), .environment = {}, .folder = folder_.path()};
  }
  Outcome pki(std::vector<std::string> arguments) const {
    return run_command(command(std::move(arguments)));
  }
  std::string done(std::vector<std::string> arguments) const {
    const Outcome outcome = pki(std::move(arguments));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  }
  void expect_refused(std::vector<std::string> arguments, const std::string& said) const {
    const Outcome outcome = pki(std::move(arguments));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out << outcome.err;
    EXPECT_NE(outcome.err.find(said), std::string::npos) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("coppice: ")) << outcome.err;
  }
  std::string token(const std::string& node) const {
    return done({"token", "pki", "--node", node}).substr(0, 64);
  }
  std::vector<std::string> signing(const std::string& request, const std::string& token,
                                   const std::string& out) const {
    return {"sign", "pki", "--request", request, "--token", token, "--out", out};
  }

  DataFolder folder_;
};

TEST_F(PkiTest, ADeviceIsEnrolledListedAndRevoked) {
  done({"init", "pki"});
  const std::string secret = done({"token", "pki", "--node", "edge-1", "--valid", "2h"});
  EXPECT_TRUE(std::regex_match(secret, std::regex("[0-9a-f]{64}\n"))) << secret;
  done({"request", "--node", "edge-1", "--out", "edge"});
  const std::string signed_out =
      done(signing("edge/node.csr", secret.substr(0, 64), "edge/node.crt"));
  EXPECT_NE(signed_out.find("edge/node.crt for edge-1, until "), std::string::npos) << signed_out;
  for (const char* file :
       {"edge/node.key", "edge/node.csr", "edge/node.crt", "pki/ca.key", "pki/ca.crt",
        "pki/coordinator.key", "pki/coordinator.crt", "pki/revoked.crl", "pki/ledger.json"})
    EXPECT_EQ(fs::status(path(file)).permissions(), fs::perms(0600)) << file;
  EXPECT_EQ(fs::status(path("edge")).permissions(), fs::perms(0700));
  EXPECT_EQ(content_of(path("pki/ledger.json")).find(secret.substr(0, 64)), std::string::npos);

  const auto states = [&] {
    const Json json = Json::parse(done({"list", "pki", "--json"}), "list");
    std::string all;
    for (const char* kind : {"certificates", "tokens"}) {
      for (const Json& row : json.at(kind).as_array())
        all += row.at("node").as_text() + ":" + row.at("state").as_text() + " ";
    }
    return all;
  };
  EXPECT_EQ(states(), ":good edge-1:good edge-1:used ");
  EXPECT_NE(done({"revoke", "pki", "--node", "edge-1"}).find("revoked 1 certificate of edge-1"),
            std::string::npos);
  EXPECT_EQ(states(), ":good edge-1:revoked edge-1:used ");
  EXPECT_NE(done({"list", "pki"}).find("revoked"), std::string::npos);
}

TEST_F(PkiTest, TheSameRequestAndTokenGiveTheSameCertificateAndNoOther) {
  done({"init", "pki", "--key", "ed25519", "--valid", "30d"});
  const std::string secret = token("edge-1");
  done({"request", "--node", "edge-1", "--out", "one", "--key", "ed25519"});
  done({"request", "--node", "edge-1", "--out", "two"});
  done(signing("one/node.csr", secret, "one/node.crt"));
  const std::string again = done(signing("one/node.csr", secret, "again.crt"));
  EXPECT_NE(again.find("(the same as before)"), std::string::npos);
  EXPECT_EQ(content_of(path("again.crt")), content_of(path("one/node.crt")));
  expect_refused(signing("two/node.csr", secret, "two/node.crt"), "used already, for another key");
  EXPECT_FALSE(fs::exists(path("two/node.crt")));
}

TEST_F(PkiTest, AKeyIsMadeOnceAndKept) {
  done({"request", "--node", "edge-1", "--out", "edge"});
  const std::string key = content_of(path("edge/node.key"));
  const std::string out = done({"request", "--node", "edge-2", "--out", "edge"});
  EXPECT_EQ(content_of(path("edge/node.key")), key);
  EXPECT_NE(out.find("(as it was)"), std::string::npos);
  EXPECT_EQ(content_of(path("edge/node.csr")).find("PRIVATE"), std::string::npos);
  expect_refused({"request", "--node", "edge-1", "--out", "edge", "--key", "ed25519"},
                 "expected a key of type ed25519, got one of type p256");
}

TEST_F(PkiTest, OfTwoProcessesThatRaceForATokenOneWins) {
  done({"init", "pki"});
  const std::string secret = token("edge-1");
  for (const char* device : {"one", "two"}) done({"request", "--node", "edge-1", "--out", device});
  Process one(command(signing("one/node.csr", secret, "one/node.crt")));
  Process two(command(signing("two/node.csr", secret, "two/node.crt")));
  const int first = one.wait().exit_code;
  const int second = two.wait().exit_code;
  EXPECT_TRUE((first == 0 && second == 2) || (first == 2 && second == 0)) << first << second;
  EXPECT_NE(fs::exists(path("one/node.crt")), fs::exists(path("two/node.crt")));
}

TEST_F(PkiTest, WrongUseIsOneParagraphAndNeverShowsTheToken) {
  expect_refused({"list", "nowhere"}, "nowhere/ca.key");
  done({"init", "pki"});
  expect_refused({"init", "pki"}, "expected no folder or an empty one");
  expect_refused({"init", "other", "--key", "rsa"}, "p256, ed25519");
  EXPECT_FALSE(fs::exists(path("other")));
  expect_refused({"tokn", "pki"}, "did you mean 'token'?");
  expect_refused({}, "see coppice pki --help");
  expect_refused({"token", "pki", "--node", "../ca"}, "expected a node's name");
  for (const char* valid :
       {"0h", "-1h", "24", "h", "1w", "99999999999999999999h", "1.5h", "40000d"})
    expect_refused({"token", "pki", "--node", "edge-1", "--valid", valid}, "--valid: expected");
  expect_refused({"revoke", "pki", "--node", "edge-9"}, "there is no node 'edge-9'");
  done({"request", "--node", "edge-1", "--out", "edge"});
  const std::string other = token("edge-2");
  const Outcome outcome = pki(signing("edge/node.csr", other, "x.crt"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("it is another node's"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find(other), std::string::npos);
  expect_refused(signing("edge/node.csr", "12", "x.crt"), "there is no such token");
  expect_refused(signing("pki/ca.crt", other, "x.crt"), "expected a request for a certificate");
  expect_refused(signing("edge/node.csr", "@nowhere", "x.crt"), "nowhere");
  EXPECT_FALSE(fs::exists(path("x.crt")));
}

TEST_F(PkiTest, ATokenMayComeFromAFileThatOthersCannotRead) {
  done({"init", "pki"});
  folder_.write("token", token("edge-1") + "\n");
  done({"request", "--node", "edge-1", "--out", "edge"});
  fs::permissions(path("token"), fs::perms(0644));
  expect_refused(signing("edge/node.csr", "@token", "x.crt"), "expected mode 600, got 644");
  fs::permissions(path("token"), fs::perms(0600));
  done(signing("edge/node.csr", "@token", "edge/node.crt"));
}

}  // namespace
}  // namespace coppice::testing
