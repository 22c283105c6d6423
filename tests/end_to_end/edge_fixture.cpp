#include "tests/end_to_end/edge_fixture.h"

#include <ctime>
#include <optional>
#include <stdexcept>
#include <utility>

#include "comm/tls/private_file.h"

namespace coppice::testing {

namespace fs = std::filesystem;

std::string word_after(Process& process, const std::string& begin) {
  while (const std::optional<std::string> line = process.read_line()) {
    if (!line->starts_with(begin)) continue;
    const std::string rest = line->substr(begin.size());
    return rest.substr(0, rest.find(' '));
  }
  const Outcome outcome = process.wait();
  throw std::runtime_error("does not say '" + begin + "': " + outcome.out + outcome.err);
}

EdgeTest::EdgeTest() {
  const std::int64_t now = std::time(nullptr);
  tls::Authority::create(path("pki"), {}, now);
  tls::Authority authority(path("pki"));
  for (int client = 0; client < 6; ++client) enrol(authority, client, now);
}

void EdgeTest::enrol(tls::Authority& authority, int client, std::int64_t now) const {
  const std::string node = "client-" + std::to_string(client);
  const fs::path keys = path(node);
  tls::make_private_folder(keys);
  const tls::PrivateKey key = tls::PrivateKey::generate();
  tls::write_private_file(keys / "node.key", key.pem());
  const tls::SignedCertificate made = authority.sign(
      tls::CertificateRequest::make(key, node), authority.issue_token(node, now, 600), now, 3600);
  tls::write_private_file(keys / "node.crt", made.pem);
  for (const char* file : {"ca.crt", "revoked.crl"}) fs::copy_file(path("pki") / file, keys / file);
}

EdgeTest::Coordinator EdgeTest::serve(RunRequest request, const std::string& address) const {
  request.command = "serve";
  for (const char* more : {"--pki", "pki", "--listen"}) request.more.emplace_back(more);
  request.more.push_back(address);
  Coordinator out{std::make_unique<Process>(command(request)), {}};
  out.address = word_after(*out.process, "listens  ");
  return out;
}

EdgeTest::Coordinator EdgeTest::serve_again(RunRequest request, const std::string& address) const {
  request.environment.clear();
  request.more.emplace_back("--resume");
  return serve(std::move(request), address);
}

std::unique_ptr<Process> EdgeTest::edge(const std::string& address, int client,
                                        std::vector<std::string> environment,
                                        const std::string& data) const {
  const std::string program = client % 2 == 0 ? "/coppice-edge" : "/coppice";
  return std::make_unique<Process>(
      Command{.arguments = {std::string(COPPICE_BINARY_DIR) + program, "edge", "--connect", address,
                            "--keys", "client-" + std::to_string(client), "--data", data,
                            "--give-up", "250"},
              .environment = std::move(environment),
              .folder = folder()});
}

std::vector<std::unique_ptr<Process>> EdgeTest::edges(const std::string& address, int first,
                                                      int last) const {
  std::vector<std::unique_ptr<Process>> out;
  for (int client = first; client <= last; ++client) out.push_back(edge(address, client));
  return out;
}

void EdgeTest::expect_done(std::vector<std::unique_ptr<Process>>& devices) {
  for (const auto& device : devices) {
    const Outcome outcome = device->wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    EXPECT_NE(outcome.out.find("ends: the run is over"), std::string::npos) << outcome.out;
  }
}

std::string EdgeTest::model_of(Coordinator& coordinator) {
  const Outcome outcome = coordinator.process->wait();
  if (outcome.exit_code != 0) throw std::runtime_error(outcome.out + outcome.err);
  const std::size_t end = outcome.out.find_last_not_of('\n');
  const std::size_t begin = outcome.out.rfind('\n', end);
  return Json::parse(outcome.out.substr(begin + 1, end - begin), "stdout")
      .at("model_sha256")
      .as_text();
}

}  // namespace coppice::testing
