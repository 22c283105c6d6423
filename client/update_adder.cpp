#include "client/update_adder.h"

#include <optional>  // for optional

#include "algorithms/update_sum.h"
#include "client/update_gate.h"

namespace coppice {

UpdateAdder::UpdateAdder(const ClientTask& task, std::uint64_t seed)
    : task_(task), seed_(seed), codec_(make_codec(task.codec, task.codec_options)) {}

void UpdateAdder::add(ClientRow& row, std::span<const float> global, std::span<const float> local,
                      ExactSum& sum) {
  const std::optional<std::size_t> frame_bytes = codec_->lossless_frame_bytes(local.size());
  row.reason = frame_bytes && fits_one_pass(sum.grid())
                   ? add_as_sent(row, global, local, *frame_bytes, sum)
                   : add_decoded(row, global, local, sum);
}

// What arrives is what is sent: it is added in the pass that measures it, and taken back in the
// rare case that it is refused.
RefusalReason UpdateAdder::add_as_sent(ClientRow& row, std::span<const float> global,
                                       std::span<const float> local, std::size_t frame_bytes,
                                       ExactSum& sum) {
  WeightedModel model{.parameters = local, .weight = row.weight};
  add_differences(sum, global, {&model, 1});
  row.update_norm = model.length.norm();
  RefusalReason reason = gate(row.update_norm, task_);
  if (reason == RefusalReason::kNone) {
    row.bytes_up += static_cast<std::int64_t>(frame_bytes);
    if (!is_within(sum.grid(), row.update_norm, global, local)) reason = RefusalReason::kOutOfRange;
  }
  if (reason != RefusalReason::kNone) take_back_difference(sum, global, model);
  return reason;
}

RefusalReason UpdateAdder::add_decoded(ClientRow& row, std::span<const float> global,
                                       std::span<const float> local, ExactSum& sum) {
  update_.resize(global.size());
  row.update_norm = difference(local, global, update_);
  const RefusalReason reason = gate(row.update_norm, task_);
  if (reason != RefusalReason::kNone) return reason;
  const RandomKey key{seed_, Purpose::kRounding, row.client, task_.round};
  row.bytes_up += static_cast<std::int64_t>(codec_->round_trip(update_, key, update_, frame_));
  return add_values(sum, update_, row.weight) ? RefusalReason::kNone : RefusalReason::kOutOfRange;
}

}  // namespace coppice
