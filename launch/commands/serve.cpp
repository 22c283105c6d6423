// `coppice serve`: an experiment whose clients are devices of their own, over TLS; alone or under
// mpirun, whose ranks then simulate the other clients.

#include <fmt/core.h>

#include <algorithm>   // for max
#include <filesystem>  // for path
#include <iterator>    // for ssize
#include <utility>     // for move

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

std::unique_ptr<Transport> listen(const ServeArguments& arguments, const ExperimentConfig& config,
                                  const NetworkRequest& request) {
  const Endpoint endpoint = endpoint_of(arguments.listen);
  gateway::GatewayOptions options = gateway_options(config.network);
  options.address = endpoint.host;
  options.port = endpoint.port;
  const fs::path pki = arguments.pki;
  options.files = {.authority = pki / "ca.crt",
                   .certificate = pki / "coordinator.crt",
                   .key = pki / "coordinator.key",
                   .revocation_list = pki / "revoked.crl"};
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
      .out = arguments.out,
      .is_resumed = arguments.is_resumed,
      .network = [&](const NetworkRequest& request) { return listen(arguments, config, request); },
      .devices = client_list(arguments.devices)};
  return run_on_terminal(communicator, config, std::move(options), arguments.is_json);
}

}  // namespace

int serve_command(const ServeArguments& arguments, const ProcessArguments& process) {
  return with_ranks(arguments.ranks, process, [&](Communicator& communicator) {
    const SharedConfig config = shared_config(communicator, [&] {
      endpoint_of(arguments.listen);  // what is mistyped is said by one rank
      client_list(arguments.devices);
      return load_config(arguments.config, arguments.overrides);
    });
    return config.value ? serve_as_rank(communicator, arguments, *config.value) : config.exit_code;
  });
}

}  // namespace coppice
