#include "comm/netproxy/link.h"

#include <algorithm>  // for max
#include <utility>    // for move

#include "core/random.h"

namespace coppice::netproxy {
namespace {

// Where in a segment's random numbers each decision has its own, so that none moves the others.
enum Slot : std::uint8_t {
  kJitter,
  kDuplicate,
  kReorder,
  kStall,
  kTruncate,
  kCut,
  kFlip,
  kFlipPlace,
  kLosses,
};
constexpr std::uint64_t kSlotWords = 2;  // of 32 bits, as a double takes

Time of_ms(double ms) { return Time(static_cast<std::int64_t>(ms * 1e6)); }
Time of_s(double s) { return of_ms(s * 1e3); }

}  // namespace

SegmentFate fate_of(const SegmentKey& key, const LinkConditions& conditions) {
  const std::int64_t stream = 2 * key.connection + (key.direction == Direction::kUp ? 0 : 1);
  RandomStream random({key.seed, Purpose::kNetwork, stream, key.segment});
  const auto uniform = [&random](int slot) {
    random.seek(kSlotWords * static_cast<std::uint64_t>(slot));
    return random.next_uniform_double();
  };
  SegmentFate fate;
  fate.jitter = 2.0 * uniform(kJitter) - 1.0;
  fate.is_duplicated = uniform(kDuplicate) < conditions.duplicate;
  fate.is_reordered = uniform(kReorder) < conditions.reorder;
  fate.is_stalled = uniform(kStall) < conditions.stall;
  fate.is_truncated = uniform(kTruncate) < conditions.truncate;
  fate.is_cut = uniform(kCut) < conditions.cut;
  if (uniform(kFlip) < conditions.bit_flip) fate.flip = uniform(kFlipPlace);
  while (fate.losses < kMaxLosses && uniform(kLosses + fate.losses) < conditions.loss)
    ++fate.losses;
  return fate;
}

std::vector<Outage> outages_of(const Scenario& scenario, Direction direction) {
  using Stops = Partition::Stops;
  const Stops other = direction == Direction::kUp ? Stops::kDown : Stops::kUp;
  std::vector<Outage> outages;
  for (const Partition& partition : scenario.partitions) {
    if (partition.stops == other) continue;
    outages.push_back({of_s(partition.from_s), of_s(partition.from_s + partition.for_s)});
  }
  std::ranges::sort(outages, {}, &Outage::from);
  return outages;
}

Time retransmission_timeout(const LinkConditions& conditions) {
  return of_ms(std::max(200.0, 2.0 * conditions.latency_ms));
}

Time reordering_delay(const LinkConditions& conditions) {
  return of_ms(std::max(1.0, conditions.latency_ms / 2.0));
}

std::size_t extra_bytes(std::size_t bytes, const SegmentFate& fate) {
  return bytes * (static_cast<std::size_t>(fate.losses) + (fate.is_duplicated ? 1 : 0) +
                  (fate.is_reordered ? 1 : 0));
}

LinkSchedule::LinkSchedule(const LinkConditions& conditions, std::vector<Outage> outages)
    : conditions_(conditions), outages_(std::move(outages)) {}

Time LinkSchedule::after_outages(Time at) const {
  for (const Outage& outage : outages_) {  // in the order of their beginnings: once is enough
    if (at >= outage.from && at < outage.to) at = outage.to;
  }
  return at;
}

Time LinkSchedule::crossing(Time now) const {
  return after_outages(now + of_ms(conditions_.latency_ms));
}

Time LinkSchedule::arrival(Time now, std::size_t bytes, const SegmentFate& fate) {
  Time sent = std::max(now, link_free_);
  if (fate.is_stalled) sent += of_ms(conditions_.stall_ms);
  if (conditions_.bandwidth_kbps) {
    const auto bits = static_cast<double>(8 * (bytes + extra_bytes(bytes, fate)));
    sent += of_ms(bits / *conditions_.bandwidth_kbps);
  }
  link_free_ = sent;
  Time at = sent + of_ms(conditions_.latency_ms + fate.jitter * conditions_.jitter_ms);
  // 1 + 2 + 4 + ...: each timeout is twice the one before.
  at += ((std::int64_t{1} << static_cast<unsigned>(fate.losses)) - 1) *
        retransmission_timeout(conditions_);
  if (fate.is_reordered) at += reordering_delay(conditions_);
  last_arrival_ = std::max(last_arrival_, after_outages(at));
  return last_arrival_;
}

}  // namespace coppice::netproxy
