// `coppice serve`: an experiment whose clients are devices of their own, over TLS; alone or under
// mpirun, whose ranks then simulate the other clients.

#include <fmt/core.h>

#include <algorithm>   // for max
#include <ctime>       // for time
#include <filesystem>  // for path
#include <iterator>    // for ssize

#include "coordinator/durable_file.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/device/endpoint.h"
#include "launch/federation.h"
#include "launch/machine.h"
#include "launch/ranks.h"
#include "launch/terminal.h"
#include "launch/tls_transport.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

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
  const std::int64_t devices = std::ssize(request.nodes);
  options.max_connections =
      std::max(options.max_connections, 2 * devices);  // half may be half-open
  allow_sockets(2 * devices);
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
