// `coppice serve`: an experiment whose clients are devices of their own, over TLS; alone or under
// mpirun, whose ranks then simulate the other clients.

#include <fmt/core.h>

#include <algorithm>   // for sort, unique
#include <charconv>    // for from_chars
#include <ctime>       // for time
#include <filesystem>  // for path

#include "coordinator/durable_file.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/federation.h"
#include "launch/ranks.h"
#include "launch/terminal.h"
#include "launch/tls_transport.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

std::int64_t whole_number(std::string_view digits, const std::string& what, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
  if (error != std::errc() || end != digits.end() || value < 0 || value > max)
    throw ConfigError(text(what, ": expected a number from 0 to ", max, ", got '", digits, "'"));
  return value;
}

// Devices of no run are numbered higher.
constexpr std::int64_t kMostClients = 1'000'000;

}  // namespace

Endpoint endpoint_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0)
    throw ConfigError(text("expected HOST:PORT, got '", address.substr(0, 128), "'"));
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);  // IPv6
  return {host, static_cast<std::uint16_t>(
                    whole_number(std::string_view(address).substr(colon + 1), address, 65535))};
}

std::vector<std::int64_t> client_list(const std::string& list) {
  std::vector<std::int64_t> clients;
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::size_t dash = item.find('-');
    const std::int64_t first = whole_number(item.substr(0, dash), "--devices", kMostClients);
    const std::int64_t last = dash == std::string_view::npos
                                  ? first
                                  : whole_number(item.substr(dash + 1), "--devices", kMostClients);
    if (last < first) throw ConfigError(text("--devices: '", item, "' is empty"));
    for (std::int64_t client = first; client <= last; ++client) clients.push_back(client);
  }
  std::ranges::sort(clients);
  const auto repeated = std::ranges::unique(clients);
  clients.erase(repeated.begin(), repeated.end());
  return clients;
}

namespace {

tls::TlsFiles files_in(const fs::path& pki) {
  return {.authority = pki / "ca.crt",
          .certificate = pki / "coordinator.crt",
          .key = pki / "coordinator.key",
          .revocation_list = pki / "revoked.crl"};
}

// What can be wrong is found before anything is written.
void check(const ServeArguments& arguments) {
  endpoint_of(arguments.listen);
  client_list(arguments.devices);
  const tls::TlsContext context(tls::End::kCoordinator, files_in(arguments.pki),
                                [] { return static_cast<std::int64_t>(std::time(nullptr)); });
}

std::unique_ptr<Transport> listen(const ServeArguments& arguments, const ExperimentConfig& config,
                                  const NetworkRequest& request) {
  const Endpoint endpoint = endpoint_of(arguments.listen);
  gateway::GatewayOptions options = gateway_options(config.network);
  options.address = endpoint.host;
  options.port = endpoint.port;
  options.files = files_in(arguments.pki);
  auto transport = std::make_unique<TlsTransport>(std::move(options), request);
  fmt::print("listens  {}:{} for {} devices\n", endpoint.host, transport->port(),
             request.nodes.size());
  std::fflush(stdout);
  if (!arguments.port_file.empty())
    write_file_atomically(arguments.port_file, text(transport->port(), "\n"));
  return transport;
}

int serve_as_rank(Communicator& communicator, const ServeArguments& arguments,
                  const ExperimentConfig& config) {
  RunOptions options{
      .out = arguments.out.empty() ? "runs/" + config.name : arguments.out,
      .is_resumed = arguments.is_resumed,
      .network = [&](const NetworkRequest& request) { return listen(arguments, config, request); },
      .devices = client_list(arguments.devices)};
  TerminalObserver observer;
  const bool is_root = communicator.rank() == 0;
  const RunOutcome outcome =
      run_federation(communicator, config, options, is_root ? &observer : nullptr);
  if (is_root) print_result(options.out, outcome, arguments.is_json);
  return outcome.exit_code;
}

}  // namespace

int serve_command(const ServeArguments& arguments, const ProcessArguments& process) {
  return with_ranks(arguments.ranks, process, [&](Communicator& communicator) {
    const SharedConfig config = shared_config(communicator, [&] {
      check(arguments);
      return load_config(arguments.config, arguments.overrides);
    });
    return config.value ? serve_as_rank(communicator, arguments, *config.value) : config.exit_code;
  });
}

}  // namespace coppice
