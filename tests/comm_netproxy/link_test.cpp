#include "comm/netproxy/link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace coppice::netproxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

double ms(Time time) { return std::chrono::duration<double, std::milli>(time).count(); }

const LinkConditions kEverything{.latency_ms = 20,
                                 .jitter_ms = 20,
                                 .loss = 0.1,
                                 .duplicate = 0.1,
                                 .reorder = 0.1,
                                 .bandwidth_kbps = 1000,
                                 .stall = 0.1,
                                 .stall_ms = 50,
                                 .bit_flip = 0.1,
                                 .truncate = 0.1,
                                 .cut = 0.1,
                                 .cut_after_bytes = {}};

std::vector<SegmentFate> fates(const LinkConditions& conditions, SegmentKey key, int n) {
  std::vector<SegmentFate> out;
  for (; key.segment < n; ++key.segment) out.push_back(fate_of(key, conditions));
  return out;
}

TEST(SegmentFateTest, IsAFunctionOfSeedConnectionDirectionAndSegment) {
  const std::vector<SegmentFate> first = fates(kEverything, {.seed = 7, .connection = 3}, 100);
  EXPECT_EQ(fates(kEverything, {.seed = 7, .connection = 3}, 100), first);
  EXPECT_NE(fates(kEverything, {.seed = 8, .connection = 3}, 100), first);
  EXPECT_NE(fates(kEverything, {.seed = 7, .connection = 4}, 100), first);
  EXPECT_NE(fates(kEverything, {.seed = 7, .connection = 3, .direction = Direction::kDown}, 100),
            first);
  EXPECT_NE(first.front(), first.back());
}

TEST(SegmentFateTest, KeepsItsProbabilities) {
  constexpr int kSegments = 20'000;
  const std::vector<SegmentFate> all = fates(kEverything, {.seed = 1}, kSegments);
  const auto expect_share = [&](const char* what, double share, auto&& happens) {
    const auto count = static_cast<double>(std::ranges::count_if(all, happens));
    const double deviation = std::sqrt(kSegments * share * (1 - share));
    EXPECT_NEAR(count, kSegments * share, 4 * deviation) << what;
  };
  expect_share("loss", 0.1, [](const SegmentFate& fate) { return fate.losses >= 1; });
  expect_share("loss of both", 0.01, [](const SegmentFate& fate) { return fate.losses >= 2; });
  expect_share("duplicate", 0.1, [](const SegmentFate& fate) { return fate.is_duplicated; });
  expect_share("reorder", 0.1, [](const SegmentFate& fate) { return fate.is_reordered; });
  expect_share("stall", 0.1, [](const SegmentFate& fate) { return fate.is_stalled; });
  expect_share("flip", 0.1, [](const SegmentFate& fate) { return fate.flip.has_value(); });
  expect_share("truncate", 0.1, [](const SegmentFate& fate) { return fate.is_truncated; });
  expect_share("cut", 0.1, [](const SegmentFate& fate) { return fate.is_cut; });
  expect_share("two at once", 0.01,
               [](const SegmentFate& fate) { return fate.is_cut && fate.is_duplicated; });
  expect_share("late", 0.5, [](const SegmentFate& fate) { return fate.jitter >= 0; });
}

TEST(SegmentFateTest, OneProbabilityDoesNotMoveTheOthers) {
  LinkConditions other = kEverything;
  other.cut = 0.5;
  for (int i = 0; i < 200; ++i) {
    const SegmentFate fate = fate_of({.seed = 1, .segment = i}, kEverything);
    SegmentFate more = fate_of({.seed = 1, .segment = i}, other);
    EXPECT_TRUE(!fate.is_cut || more.is_cut);  // and what happened still happens
    more.is_cut = fate.is_cut;
    EXPECT_EQ(more, fate);
  }
}

TEST(SegmentFateTest, NothingHappensAtZeroAndLossesEnd) {
  for (const SegmentFate& fate : fates({}, {.seed = 1}, 1000)) {
    SegmentFate nothing;
    nothing.jitter = fate.jitter;  // of 0 ms
    EXPECT_EQ(fate, nothing);
  }
  const LinkConditions hopeless{.loss = 1.0};  // which no scenario may ask for
  EXPECT_EQ(fate_of({}, hopeless).losses, kMaxLosses);
}

TEST(LinkScheduleTest, DelaysAreLatencyAndJitter) {
  const LinkConditions conditions{.latency_ms = 200, .jitter_ms = 100};
  LinkSchedule link(conditions, {});
  double least = 1e9;
  double most = 0;
  for (int i = 0; i < 1000; ++i) {
    const Time sent = i * seconds(1);  // apart: none waits for another
    const double delay = ms(link.arrival(sent, 1000, fate_of({.segment = i}, conditions)) - sent);
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_GE(least, 100.0);
  EXPECT_LT(least, 102.0);
  EXPECT_LE(most, 300.0);
  EXPECT_GT(most, 298.0);
}

TEST(LinkScheduleTest, NothingOvertakes) {
  LinkSchedule link(kEverything, {{milliseconds(500), milliseconds(900)}});
  Time before{};
  for (int i = 0; i < 2000; ++i) {
    const Time sent = i * milliseconds(1);
    const Time arrival = link.arrival(sent, 100, fate_of({.segment = i}, kEverything));
    EXPECT_GE(arrival, before);
    EXPECT_GE(arrival, sent);
    EXPECT_FALSE(arrival >= milliseconds(500) && arrival < milliseconds(900));
    before = arrival;
  }
}

TEST(LinkScheduleTest, ALostSegmentWaitsForTimeoutsAndWhatIsBehindWaitsForIt) {
  LinkSchedule near({.latency_ms = 10}, {});
  EXPECT_EQ(near.arrival(Time(0), 1, {.losses = 1}), milliseconds(210));
  EXPECT_EQ(near.arrival(milliseconds(1), 1, {}), milliseconds(210));
  EXPECT_EQ(near.arrival(milliseconds(300), 1, {}), milliseconds(310));
  LinkSchedule far({.latency_ms = 300}, {});
  EXPECT_EQ(far.arrival(Time(0), 1, {.losses = 2}), milliseconds(300 + 600 + 1200));
  LinkSchedule worst({}, {});
  EXPECT_EQ(worst.arrival(Time(0), 1, {.losses = kMaxLosses}), milliseconds(63 * 200));
}

TEST(LinkScheduleTest, AReorderedSegmentIsLateByHalfTheLatency) {
  LinkSchedule link({.latency_ms = 100}, {});
  EXPECT_EQ(link.arrival(Time(0), 1, {.is_reordered = true}), milliseconds(150));
  EXPECT_EQ(link.arrival(milliseconds(10), 1, {}), milliseconds(150));
}

TEST(LinkScheduleTest, BandwidthIsSharedWithCopies) {
  LinkSchedule link({.latency_ms = 10, .bandwidth_kbps = 8.0 * 1000}, {});  // 1,000 bytes a ms
  EXPECT_EQ(link.arrival(Time(0), 1000, {}), milliseconds(11));
  EXPECT_EQ(link.arrival(Time(0), 1000, {}), milliseconds(12));
  EXPECT_EQ(link.arrival(Time(0), 1000, {.is_duplicated = true}), milliseconds(14));
  EXPECT_EQ(link.arrival(milliseconds(50), 1000, {}), milliseconds(61));  // unused time is gone
}

TEST(LinkScheduleTest, CountsTheBytesOfCopies) {
  EXPECT_EQ(extra_bytes(100, {}), 0U);
  EXPECT_EQ(extra_bytes(100, {.losses = 2, .is_duplicated = true, .is_reordered = true}), 400U);
}

TEST(LinkScheduleTest, AStallHoldsTheLink) {
  LinkSchedule link({.latency_ms = 10, .stall_ms = 500}, {});
  EXPECT_EQ(link.arrival(Time(0), 1, {.is_stalled = true}), milliseconds(510));
  EXPECT_EQ(link.arrival(milliseconds(100), 1, {}), milliseconds(510));
}

TEST(LinkScheduleTest, NothingArrivesInAnOutage) {
  LinkSchedule link({.latency_ms = 10}, {{seconds(1), seconds(3)}, {seconds(2), seconds(4)}});
  EXPECT_EQ(link.crossing(milliseconds(980)), milliseconds(990));
  EXPECT_EQ(link.arrival(milliseconds(980), 1, {}), milliseconds(990));
  EXPECT_EQ(link.arrival(milliseconds(990), 1, {}), seconds(4));
  EXPECT_EQ(link.crossing(seconds(2)), seconds(4));
  EXPECT_EQ(link.arrival(seconds(4), 1, {}), milliseconds(4010));
}

TEST(OutagesTest, AreThoseOfTheDirection) {
  const Scenario scenario{.up = {},
                          .down = {},
                          .partitions = {{5, 1, Partition::Stops::kBoth},
                                         {3, 1, Partition::Stops::kUp},
                                         {1, 1, Partition::Stops::kDown}}};
  const std::vector<Outage> up = outages_of(scenario, Direction::kUp);
  ASSERT_EQ(up.size(), 2U);
  EXPECT_EQ(up[0].from, seconds(3));
  EXPECT_EQ(up[0].to, seconds(4));
  EXPECT_EQ(up[1].from, seconds(5));
  const std::vector<Outage> down = outages_of(scenario, Direction::kDown);
  ASSERT_EQ(down.size(), 2U);
  EXPECT_EQ(down[0].from, seconds(1));
}

}  // namespace
}  // namespace coppice::netproxy
