#include "coordinator/downlink.h"

#include <algorithm>  // for min
#include <numeric>    // for accumulate

#include "comm/codec.h"
#include "comm/messages.h"
#include "core/random.h"

namespace coppice {
namespace {

std::string plan_json(const ServerState& state) {
  return state.plan.is_empty() ? std::string() : to_json(state.plan);
}

std::int64_t whole_bytes(const ServerState& state) {
  return static_cast<std::int64_t>(encode_model({state.graph.to_json(), plan_json(state),
                                                 state.transport.broadcast.model.parameters,
                                                 state.transport.broadcast.model.mask})
                                       .size());
}

}  // namespace

std::vector<std::uint8_t> send_changes(const DownlinkConfig& downlink, std::uint64_t seed,
                                       std::int64_t clients, ServerState& state) {
  Broadcast& broadcast = state.transport.broadcast;
  if (broadcast.held.empty()) {
    broadcast.model = {state.parameters, state.mask};
    broadcast.held.assign(static_cast<std::size_t>(clients), -1);
    return {};
  }
  const auto codec = make_codec(downlink.codec, downlink.options);
  const RandomKey key{seed, Purpose::kBroadcast, std::ssize(broadcast.delta_bytes), state.position};
  std::vector<std::uint8_t> frame =
      encode_delta(broadcast.model, {state.parameters, state.mask}, plan_json(state), *codec, key);
  receive_delta(frame, *codec, broadcast.model);
  broadcast.delta_bytes.push_back(static_cast<std::int64_t>(frame.size()));
  return frame;
}

void count_changes(ServerState& state, std::span<ClientRow> rows) {
  Broadcast& broadcast = state.transport.broadcast;
  const std::int64_t whole = whole_bytes(state);
  for (ClientRow& row : rows) {
    const bool is_known = row.client >= 0 && row.client < std::ssize(broadcast.held);
    if (row.status == ClientStatus::kMissing || !is_known) continue;
    std::int64_t& held = broadcast.held[static_cast<std::size_t>(row.client)];
    const std::int64_t missed = held < 0
                                    ? whole
                                    : std::accumulate(broadcast.delta_bytes.begin() + held,
                                                      broadcast.delta_bytes.end(), std::int64_t{0});
    row.bytes_down += std::min(missed, whole);
    held = std::ssize(broadcast.delta_bytes);
  }
}

const std::vector<float>& sent_model(const ServerState& state) {
  const std::vector<float>& held = state.transport.broadcast.model.parameters;
  return held.empty() ? state.parameters : held;
}

}  // namespace coppice
