#include "comm/gateway/node_fleet.h"

#include <boost/asio/io_context.hpp>
#include <deque>    // for deque
#include <utility>  // for move

namespace coppice::gateway {

struct NodeFleet::State {
  std::function<NodeAnswer(const NodeWork&)> work;
  boost::asio::io_context io{1};
  std::deque<tls::TlsContext> contexts;  // deques: their elements stay where they are
  std::deque<NodeSession> sessions;
  std::vector<NodeEnd> ends;
};

NodeFleet::NodeFleet(std::span<const NodeLinkOptions> nodes,
                     std::function<NodeAnswer(const NodeWork&)> work)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.work = std::move(work);
  state.ends.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    state.contexts.emplace_back(tls::End::kNode, nodes[i].files,
                                tls::or_system_clock(nodes[i].clock));
    NodeEvents events;
    events.work = [&state, i](const NodeWork& given) {
      state.sessions[i].answer(given.key, state.work(given));
    };
    events.ended = [&state, i](const NodeEnd& end) { state.ends[i] = end; };
    state.sessions.emplace_back(state.io, state.contexts.back(), nodes[i].node, std::move(events));
  }
}

NodeFleet::~NodeFleet() = default;

std::vector<NodeEnd> NodeFleet::run() {
  for (NodeSession& session : state_->sessions) session.start();
  state_->io.run();
  return state_->ends;
}

}  // namespace coppice::gateway
