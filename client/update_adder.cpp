#include "client/update_adder.h"

#include <algorithm>   // for all_of, any_of, clamp, transform
#include <cmath>       // for isfinite
#include <functional>  // for minus, plus
#include <optional>    // for optional

#include "client/update_gate.h"

namespace coppice {
namespace {

// From here on a sum leaves the second-level cache before the next client comes.
constexpr std::int64_t kFewestForSeveral = 1 << 16;
// Of the models that wait to be added.
constexpr std::int64_t kMostBytes = std::int64_t{320} << 20;
constexpr std::int64_t kMostClients = 8;

}  // namespace

UpdateAdder::UpdateAdder(const ClientTask& task, std::uint64_t seed)
    : task_(task), seed_(seed), codec_(make_codec(task.codec, task.codec_options)) {}

void UpdateAdder::add(std::span<TrainedClient> clients, std::span<const float> global,
                      ExactSum& sum) {
  const std::optional<std::size_t> frame_bytes = codec_->lossless_frame_bytes(global.size());
  const bool is_kept =
      std::ranges::any_of(clients, [](const TrainedClient& one) { return one.frame != nullptr; });
  if (frame_bytes && !is_kept && fits_one_pass(sum.grid()))
    return add_as_sent(clients, global, *frame_bytes, sum);
  for (TrainedClient& client : clients) client.row.reason = add_decoded(client, global, sum);
}

std::int64_t UpdateAdder::clients_at_once(std::int64_t parameters) {
  if (parameters < kFewestForSeveral) return 1;
  const std::int64_t bytes = parameters * static_cast<std::int64_t>(sizeof(float));
  return std::clamp<std::int64_t>(kMostBytes / bytes, 1, kMostClients);
}

// What arrives is what is sent: it is added in the pass that measures it, and taken back in the
// rare case that it is refused.
void UpdateAdder::add_as_sent(std::span<TrainedClient> clients, std::span<const float> global,
                              std::size_t frame_bytes, ExactSum& sum) {
  models_.clear();
  for (const TrainedClient& client : clients)
    models_.push_back({.parameters = client.parameters, .weight = client.row.weight});
  add_differences(sum, global, models_);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ClientRow& row = clients[i].row;
    row.update_norm = models_[i].length.norm();
    row.reason = gate(row.update_norm, task_);
    if (row.reason == RefusalReason::kNone &&
        !is_within(sum.grid(), row.update_norm, global, clients[i].parameters))
      row.reason = RefusalReason::kOutOfRange;
    if (row.reason == RefusalReason::kNone) {
      row.bytes_up += static_cast<std::int64_t>(frame_bytes);
    } else {
      take_back_difference(sum, global, models_[i]);
    }
  }
}

RefusalReason UpdateAdder::add_decoded(TrainedClient& client, std::span<const float> global,
                                       ExactSum& sum) {
  ClientRow& row = client.row;
  update_.resize(global.size());
  row.update_norm = difference(client.parameters, global, update_);
  const RefusalReason reason = gate(row.update_norm, task_);
  if (reason != RefusalReason::kNone) return reason;
  if (!client.residual.empty()) {
    std::ranges::transform(update_, client.residual, update_.begin(), std::plus<>());
    if (!std::ranges::all_of(update_, [](float value) { return std::isfinite(value); }))
      return RefusalReason::kNotFinite;
    wanted_ = update_;
  }
  const std::size_t frame_bytes = as_it_arrives(client);
  if (!add_values(sum, update_, row.weight)) return RefusalReason::kOutOfRange;
  row.bytes_up += static_cast<std::int64_t>(frame_bytes);
  if (!client.residual.empty())
    std::ranges::transform(wanted_, update_, client.residual.begin(), std::minus<>());
  return RefusalReason::kNone;
}

// Makes of update_ what the other end will have; returns the frame's bytes.
std::size_t UpdateAdder::as_it_arrives(TrainedClient& client) {
  const RandomKey key{seed_, Purpose::kRounding, client.row.client, task_.round};
  const Codec& codec = codec_of(client.row.client);
  if (client.frame == nullptr) return codec.round_trip(update_, key, update_, frame_);
  codec.encode(update_, key, *client.frame);
  codec.decode(*client.frame, update_);
  return client.frame->size();
}

const Codec& UpdateAdder::codec_of(std::int64_t client) {
  if (!task_.client_options.empty())
    codec_ = make_codec(task_.codec, codec_options_of(task_, client));
  return *codec_;
}

}  // namespace coppice
