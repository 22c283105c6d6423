#include "comm/gateway/node_fleet.h"

#include <boost/asio/io_context.hpp>
#include <deque>    // for deque
#include <utility>  // for move

namespace coppice::gateway {
namespace {

// Nodes that connect at the same time. What a kernel has not room for in its queue of connections
// it lets try again after whole seconds.
constexpr std::size_t kConnectingAtOnce = 512;

}  // namespace

struct NodeFleet::State {
  std::function<NodeAnswer(const NodeWork&)> work;
  boost::asio::io_context io{1};
  std::deque<tls::TlsContext> contexts;  // deques: their elements stay where they are
  std::deque<NodeSession> sessions;
  std::vector<NodeEnd> ends;
  std::size_t started = 0;
  std::vector<bool> has_made_room;  // by node

  void start_next() {
    if (started < sessions.size()) sessions[started++].start();
  }
  void make_room(std::size_t node) {
    if (has_made_room[node]) return;
    has_made_room[node] = true;
    start_next();
  }
};

NodeFleet::NodeFleet(std::span<const NodeLinkOptions> nodes,
                     std::function<NodeAnswer(const NodeWork&)> work)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.work = std::move(work);
  state.ends.resize(nodes.size());
  state.has_made_room.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    state.contexts.emplace_back(tls::End::kNode, nodes[i].files,
                                tls::or_system_clock(nodes[i].clock));
    NodeEvents events;
    events.work = [&state, i](const NodeWork& given) {
      state.sessions[i].answer(given.key, state.work(given));
    };
    // Whoever is connected, or has given up, makes room for another.
    events.link = [&state, i](bool is_connected, const std::string&) {
      if (is_connected) state.make_room(i);
    };
    events.ended = [&state, i](const NodeEnd& end) {
      state.ends[i] = end;
      state.make_room(i);
    };
    state.sessions.emplace_back(state.io, state.contexts.back(), nodes[i].node, std::move(events));
  }
}

NodeFleet::~NodeFleet() = default;

std::vector<NodeEnd> NodeFleet::run() {
  for (std::size_t i = 0; i < kConnectingAtOnce; ++i) state_->start_next();
  state_->io.run();
  return state_->ends;
}

}  // namespace coppice::gateway
