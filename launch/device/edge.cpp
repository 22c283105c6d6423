// `coppice edge`: a device that takes part in a run, with its own data and its own key.

#include <fmt/core.h>

#include <filesystem>  // for path

#include "client/edge_worker.h"
#include "comm/gateway/node_link.h"
#include "comm/tls/identity.h"
#include "comm/tls/private_file.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/text.h"
#include "kernels/lanes/lanes.h"
#include "launch/commands.h"
#include "launch/device/edge_world.h"
#include "launch/device/endpoint.h"
#include "launch/device/stop_on_signal.h"
#include "launch/version.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;
using gateway::NodeAnswer;
using gateway::NodeEnd;

constexpr std::int64_t kMaxCertificateBytes = 16384;

// Who this device is says its certificate.
std::int64_t client_in(const fs::path& certificate) {
  const auto found = tls::Certificate::from_pem(
      tls::read_whole_file(certificate, kMaxCertificateBytes), certificate.string());
  const std::optional<tls::Identity> identity = found.identity();
  const std::string node = identity ? identity->node : std::string();
  const std::optional<std::int64_t> client = client_of_node(node);
  if (client) return *client;
  throw ConfigError(text("'", certificate.string(),
                         "': expected a certificate of a node called client-K, K being its number "
                         "in the run, got '",
                         node, "'"));
}

gateway::NodeLinkOptions options_of(const EdgeArguments& arguments, std::int64_t client) {
  const Endpoint endpoint = endpoint_of(arguments.connect);
  const fs::path keys = arguments.keys;
  gateway::NodeLinkOptions options;
  options.node.host = endpoint.host;
  options.node.port = endpoint.port;
  options.node.program = text("coppice ", kCoppiceVersion);
  options.node.seed = static_cast<std::uint64_t>(client);
  options.node.give_up_ms = arguments.give_up_s * 1000;
  options.files = {.authority = keys / "ca.crt",
                   .certificate = keys / "node.crt",
                   .key = keys / "node.key",
                   .revocation_list = keys / "revoked.crl"};
  return options;
}

int exit_code_of(const NodeEnd& end) {
  switch (end.why) {
    case NodeEnd::Why::kDone:
    case NodeEnd::Why::kStopped:
      return 0;
    case NodeEnd::Why::kRefused:
    case NodeEnd::Why::kOtherRun:
      return 2;
    case NodeEnd::Why::kGaveUp:
      return 1;
  }
  return 1;
}

}  // namespace

int edge_command(const EdgeArguments& arguments) {
  const std::int64_t client = client_in(fs::path(arguments.keys) / "node.crt");
  const std::string node = node_of_client(client);
  EdgeWorker worker(client, [&](const EdgeSetup& setup) {
    const std::string_view isa = kernels::lane_kernels().isa;
    if (setup.executor == "resident" && setup.isa != isa) {
      fmt::print("{}  computes with {}, the coordinator with {}: a model's last bits differ\n",
                 node, isa, setup.isa);
    }
    return open_edge_world(setup, {arguments.data, arguments.dataset}, client);
  });
  gateway::NodeLink link(options_of(arguments, client));
  const StopOnSignal stop([&link] { link.stop(); });
  const gateway::NodeHandlers handlers{
      .work =
          [&](const gateway::NodeWork& work) {
            EdgeWorker::Reply reply = worker.handle(work.task, *work.model);
            failpoint("after_answer");
            if (reply.declined.empty()) return NodeAnswer::of(std::move(reply.answer));
            if (reply.declined != kNeedsAll) fmt::print("{}  cannot: {}\n", node, reply.declined);
            return NodeAnswer::decline(reply.declined);
          },
      .settled =
          [&](const session::UpdateKey& key, session::AckStatus status, const std::string& reason) {
            if (status == session::AckStatus::kRefused && reason != kNeedsAll)
              fmt::print("{}  step {} refused: {}\n", node, key.round, reason);
          },
      .link =
          [&](bool is_connected, const std::string& said) {
            fmt::print("{}  {}{}\n", node,
                       is_connected ? "connected" : "not connected: ", is_connected ? "" : said);
            std::fflush(stdout);
          }};
  const NodeEnd end = link.run(handlers);
  fmt::print("{}  ends: {}\n", node, end.text);
  return exit_code_of(end);
}

}  // namespace coppice
