#include "launch/open_edges.h"

#include <algorithm>  // for copy_n
#include <iterator>   // for ssize
#include <numeric>    // for iota
#include <utility>    // for move

#include "algorithms/calibration.h"
#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/device/edge_world.h"

namespace coppice {
namespace {

// No answer is longer: an update is four bytes a parameter and ballots a bit, whatever the codec
// adds; a histogram is eight bytes a bin.
std::int64_t max_answer_bytes(const World& world) {
  constexpr std::int64_t kOther = std::int64_t{1} << 20;  // tables, names
  const std::int64_t nodes = std::ssize(world.graph.nodes()) + 1;
  return 8 * world.graph.parameter_count() + 8 * kHistogramBins * nodes + kOther;
}

// The first half of a SHA-256.
session::RunId run_id(const RunIdentity& identity) {
  Sha256 digest;
  digest.update(text(identity.version, ' ', identity.config_sha256, ' ', identity.data_sha256, ' ',
                     identity.executor, ' ', identity.isa, ' ', identity.libraries));
  const auto bytes = digest.finish();
  session::RunId id{};
  std::copy_n(bytes.begin(), id.size(), id.begin());
  return id;
}

std::vector<std::int64_t> all_clients(std::int64_t count) {
  std::vector<std::int64_t> clients(static_cast<std::size_t>(count));
  std::iota(clients.begin(), clients.end(), std::int64_t{0});
  return clients;
}

std::vector<std::int64_t> devices_of(const EdgesRequest& request) {
  const std::int64_t clients = std::ssize(request.world.partition.clients);
  const std::vector<std::int64_t>& named = request.options.devices;
  if (named.empty()) return all_clients(clients);
  if (has_data_elsewhere(request.config)) {
    throw ConfigError(
        "--devices: with data.partition.scheme devices every client is one; expected none");
  }
  for (const std::int64_t client : named) {
    if (client >= clients)
      throw ConfigError(
          text("--devices: expected clients from 0 to ", clients - 1, ", got ", client));
  }
  return named;
}

EdgeSetup setup_of(const EdgesRequest& request) {
  const World& world = request.world;
  EdgeSetup setup{.config = resolved_yaml(request.config),
                  .version = request.identity.version,
                  .executor = request.identity.executor,
                  .isa = request.identity.isa};
  if (!has_data_elsewhere(request.config))
    setup.data_sha256 = clients_sha256(*world.dataset, world.partition);
  return with_format(std::move(setup), *world.dataset);
}

}  // namespace

std::optional<Edges> open_edges(EdgesRequest request) {
  if (!request.options.network) return std::nullopt;
  std::vector<std::int64_t> devices = devices_of(request);
  NetworkRequest network{.run = run_id(request.identity),
                         .max_answer_bytes = max_answer_bytes(request.world)};
  for (const std::int64_t client : devices) network.nodes.push_back(node_of_client(client));
  return std::optional<Edges>(std::in_place, request.options.network(network),
                              request.config.network, setup_of(request), std::move(devices),
                              std::move(request.others), std::move(request.note));
}

}  // namespace coppice
