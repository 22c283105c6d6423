#include "launch/tls_transport.h"

#include <utility>  // for move
#include <variant>  // for get, visit

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

gateway::Question question_of(NodeQuestion question) {
  return {.node = std::move(question.node),
          .task = std::move(question.task),
          .model = std::move(question.model)};
}

gateway::GatewayOptions with_limits(gateway::GatewayOptions options,
                                    const NetworkRequest& request) {
  options.max_update_bytes = static_cast<std::uint64_t>(request.max_answer_bytes);
  if (options.buffer_bytes < options.max_update_bytes) {
    throw ConfigError(text("network.buffer: expected room for one answer of this model, ",
                           options.max_update_bytes, " bytes, got ", options.buffer_bytes));
  }
  return options;
}

std::int64_t milliseconds_of(double microseconds) {
  return static_cast<std::int64_t>(microseconds / 1000.0);
}

struct ToNodeEvent {
  NodeEvent operator()(gateway::Joined& joined) const {
    return {.kind = NodeEventKind::kJoined, .node = std::move(joined.node)};
  }
  NodeEvent operator()(gateway::Left& left) const {
    return {.kind = NodeEventKind::kLeft,
            .node = std::move(left.node),
            .reason = std::move(left.reason)};
  }
  NodeEvent operator()(gateway::Arrived& arrived) const {
    return {.kind = NodeEventKind::kAnswered,
            .node = std::move(arrived.node),
            .step = arrived.key.round,
            .answer = std::move(arrived.update)};
  }
  NodeEvent operator()(gateway::Declined& declined) const {
    return {.kind = NodeEventKind::kDeclined,
            .node = std::move(declined.node),
            .step = declined.key.round,
            .reason = std::move(declined.reason)};
  }
};

}  // namespace

gateway::GatewayOptions gateway_options(const NetworkConfig& config) {
  gateway::GatewayOptions options;
  options.heartbeat_ms = milliseconds_of(config.heartbeat_us);
  options.silence_ms = milliseconds_of(config.silence_us);
  options.buffer_bytes = static_cast<std::uint64_t>(config.buffer_bytes);
  return options;
}

TlsTransport::TlsTransport(gateway::GatewayOptions options, const NetworkRequest& request)
    : gateway_(with_limits(std::move(options), request), request.run, request.nodes) {}

TlsTransport::~TlsTransport() {
  if (is_finished_) {
    gateway_.stop(session::ByeReason::kDone, "the run is over");
  } else {
    gateway_.stop(session::ByeReason::kLeaving, "the coordinator has stopped");
  }
}

void TlsTransport::open(std::int64_t step, std::vector<NodeQuestion> questions) {
  std::vector<gateway::Question> asked;
  asked.reserve(questions.size());
  for (NodeQuestion& question : questions) asked.push_back(question_of(std::move(question)));
  gateway_.open(step, std::move(asked));
}

std::optional<NodeEvent> TlsTransport::next(std::chrono::milliseconds timeout) {
  std::optional<gateway::GatewayEvent> event = gateway_.next(timeout);
  if (!event) return std::nullopt;
  return std::visit(ToNodeEvent{}, *event);
}

void TlsTransport::accept(const std::string& node) {
  gateway_.settle(node, gateway::Verdict::applied());
}

void TlsTransport::refuse(const std::string& node, const std::string& reason) {
  gateway_.settle(node, gateway::Verdict::refused(reason));
}

void TlsTransport::ask_again(NodeQuestion question) {
  gateway_.ask_again(question_of(std::move(question)));
}

void TlsTransport::close(const std::set<std::string>& standing) { gateway_.close_round(standing); }

}  // namespace coppice
