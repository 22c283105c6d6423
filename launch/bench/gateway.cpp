// A coordinator's gateway against a fleet of nodes, each end in a process of its own, over real TLS
// on the loopback interface.

#include "comm/gateway/gateway.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>  // for ifstream
#include <future>   // for async

#include "comm/gateway/node_fleet.h"
#include "core/error.h"
#include "core/text.h"
#include "data/child_output.h"
#include "launch/bench/bench.h"
#include "launch/bench/rounds.h"
#include "launch/machine.h"
#include "launch/tables.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr session::RunId kRun{1};
constexpr int kRounds = 5;
constexpr milliseconds kPatience{120'000};
constexpr std::size_t kOutputBytes = 1 << 20;

std::string node_name(std::int64_t node) { return text("n", node); }

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of this process, which is the coordinator's end alone.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
  std::int64_t total = 0;
  std::int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// Everybody's files, as `coppice pki` would sign them, without syncs to the disk.
void make_identities(const fs::path& folder, std::int64_t nodes) {
  const std::int64_t now = tls::or_system_clock({})();
  const tls::Validity validity{now - 3600, now + 86400};
  const auto write = [&](const std::string& name, const std::string& content) {
    std::ofstream(folder / name, std::ios::binary) << content;
    fs::permissions(folder / name, fs::perms(0600));
  };
  const auto authority_key = tls::PrivateKey::generate();
  const auto authority = tls::make_authority(authority_key, validity);
  const auto key = tls::PrivateKey::generate();
  write("ca.crt", authority.pem());
  write("revoked.crl", tls::RevocationList::make_pem({}, 1, now, authority, authority_key));
  write("coordinator.key", key.pem());
  write("coordinator.crt", tls::sign_coordinator(key, validity, authority, authority_key).pem());
  for (std::int64_t node = 0; node < nodes; ++node) {
    const auto own = tls::PrivateKey::generate();
    const auto request = tls::CertificateRequest::make(own, node_name(node));
    write(node_name(node) + ".key", own.pem());
    write(node_name(node) + ".crt",
          tls::sign_node(request, validity, authority, authority_key).pem());
  }
}

tls::TlsFiles files_of(const fs::path& folder, const std::string& name) {
  return {folder / "ca.crt", folder / (name + ".crt"), folder / (name + ".key"),
          folder / "revoked.crl"};
}

gateway::GatewayEvent next_event(gateway::Gateway& gateway) {
  auto event = gateway.next(kPatience);
  if (!event) throw CommError("bench gateway: nothing came of the fleet");
  if (const auto* left = std::get_if<gateway::Left>(&*event))
    throw CommError(text("bench gateway: ", left->node, " left: ", left->reason));
  return std::move(*event);
}

// From the question to the last update that was taken: seconds.
double time_round(gateway::Gateway& gateway, std::int64_t round, const GatewayBenchSize& size) {
  // Another model each round: a node keeps the last one.
  const auto model = std::make_shared<const std::vector<std::uint8_t>>(
      static_cast<std::size_t>(size.model_bytes), static_cast<std::uint8_t>(round));
  std::vector<gateway::Question> questions;
  for (std::int64_t node = 0; node < size.nodes; ++node)
    questions.push_back({node_name(node), {1}, model});
  const auto start = Clock::now();
  gateway.open(round, std::move(questions));
  for (std::int64_t arrived = 0; arrived < size.nodes;) {
    const auto event = next_event(gateway);
    if (const auto* update = std::get_if<gateway::Arrived>(&event)) {
      gateway.settle(update->node, gateway::Verdict::applied());
      ++arrived;
    }
  }
  gateway.close_round();
  return seconds_since(start);
}

}  // namespace

void run_bench_fleet(const std::filesystem::path& folder, std::uint16_t port,
                     const GatewayBenchSize& size) {
  allow_sockets(size.nodes);
  std::vector<gateway::NodeLinkOptions> options(static_cast<std::size_t>(size.nodes));
  for (std::size_t node = 0; node < options.size(); ++node) {
    options[node].node.port = port;
    options[node].node.seed = node;
    options[node].node.connect_ms = kPatience.count();
    options[node].node.give_up_ms = kPatience.count();
    options[node].files = files_of(folder, node_name(static_cast<std::int64_t>(node)));
  }
  const std::vector<std::uint8_t> update(static_cast<std::size_t>(size.update_bytes), 1);
  gateway::NodeFleet fleet(
      options, [&](const gateway::NodeWork&) { return gateway::NodeAnswer::of(update); });
  for (const gateway::NodeEnd& end : fleet.run()) {
    if (end.why != gateway::NodeEnd::Why::kDone)
      throw CommError("bench gateway: a node of the fleet: " + end.text);
  }
}

BenchReport bench_gateway(const GatewayBenchSize& size) {
  allow_sockets(size.nodes);
  const BenchFolder folder;
  make_identities(folder.path(), size.nodes);
  std::vector<std::string> names;
  for (std::int64_t node = 0; node < size.nodes; ++node) names.push_back(node_name(node));
  gateway::GatewayOptions options;
  options.files = files_of(folder.path(), "coordinator");
  options.handshake_ms = kPatience.count();  // all come at once, and share the cores with it
  gateway::Gateway gateway(options, kRun, names);
  const double before = resident_bytes();
  const std::vector<std::string> command{program_folder() + "/coppice",
                                         "bench",
                                         "gateway",
                                         "fleet=" + folder.path().string(),
                                         text("port=", gateway.port()),
                                         text("nodes=", size.nodes),
                                         text("update=", size.update_bytes)};
  auto fleet = std::async(std::launch::async, [&] { return child_output(command, kOutputBytes); });
  next_event(gateway);  // the first is in: the fleet has read its files
  const auto start = Clock::now();
  const double processor_start = processor_seconds();
  for (std::int64_t node = 1; node < size.nodes; ++node) next_event(gateway);
  const double busy = (processor_seconds() - processor_start) / static_cast<double>(size.nodes - 1);
  const double rate = static_cast<double>(size.nodes - 1) / seconds_since(start);
  const double idle = (resident_bytes() - before) / static_cast<double>(size.nodes);
  std::vector<double> rounds;
  for (int round = 0; round <= kRounds; ++round) {
    const double seconds = time_round(gateway, round, size);
    if (round > 0) rounds.push_back(seconds);  // the first warms up
  }
  const double after = (resident_bytes() - before) / static_cast<double>(size.nodes);
  const auto counters = gateway.counters();
  gateway.stop(session::ByeReason::kDone, "measured");
  fleet.get();

  BenchReport report;
  report.subject = text(
      "a gateway and ", size.nodes,
      " nodes in two processes on this machine, TLS 1.3 over the loopback interface, a model of ",
      size.model_bytes, " bytes down and an update of ", size.update_bytes,
      " bytes up in a round; memory is the gateway's process alone, for each connection; both "
      "ends' handshakes and transfers share the cores");
  report.facts.set("nodes", size.nodes);
  report.facts.set("model_bytes", size.model_bytes);
  report.facts.set("update_bytes", size.update_bytes);
  report.facts.set("enrolled", counters.enrolled);
  const Spread round = spread_of(rounds);
  const double bytes = static_cast<double>(size.nodes) *
                       static_cast<double>(size.model_bytes + size.update_bytes) * 1e-6;
  const auto once = [](double value) { return Spread{value, value, value}; };
  report.figures.push_back({"handshakes", "/s", once(rate)});
  report.figures.push_back({"gateway's processor time for one", "ms", once(busy * 1e3)});
  report.figures.push_back({"idle connection", "KiB", once(idle / 1024)});
  report.figures.push_back({"connection after rounds", "KiB", once(after / 1024)});
  report.figures.push_back({"round", "s", round});
  report.figures.push_back(
      {"both ways", "MB/s", {bytes / round.median, bytes / round.max, bytes / round.min}});
  return report;
}

}  // namespace coppice
