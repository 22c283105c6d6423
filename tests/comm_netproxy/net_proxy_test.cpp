#include "comm/netproxy/net_proxy.h"

#include <gtest/gtest.h>

#include <bit>

#include "core/error.h"
#include "tests/comm_netproxy/line.h"

namespace coppice::netproxy {
namespace {

using std::chrono::milliseconds;

Scenario both(const LinkConditions& conditions) {
  return {.up = conditions, .down = conditions, .partitions = {}};
}

TEST(NetProxyTest, BytesPassUnchanged) {
  Line line(both({.latency_ms = 3,
                  .jitter_ms = 3,
                  .loss = 0.02,
                  .duplicate = 0.1,
                  .reorder = 0.1,
                  .stall = 0.01,
                  .stall_ms = 5}));
  line.open();
  const Bytes up = bytes_of(300'000, 1);
  const Bytes down = bytes_of(300'000, 2);
  line.send(line.device(), up);
  line.send(line.coordinator(), down);
  EXPECT_EQ(line.receive(line.coordinator(), up.size()).bytes, up);
  EXPECT_EQ(line.receive(line.device(), down.size()).bytes, down);
  // The last bytes are counted after they were written, and before the end that follows them.
  line.device().shutdown(Line::Socket::shutdown_send);
  EXPECT_TRUE(line.receive(line.coordinator(), 1).has_ended);
  line.coordinator().shutdown(Line::Socket::shutdown_send);
  EXPECT_TRUE(line.receive(line.device(), 1).has_ended);
  const NetProxyCounters counters = line.counters();
  EXPECT_EQ(counters.connections, 1);
  for (const LinkCounters& link : {counters.up, counters.down}) {
    EXPECT_EQ(link.bytes, 300'000);
    EXPECT_GE(link.segments, 300'000 / 1448);
    EXPECT_GT(link.lost, 0);
    EXPECT_GT(link.duplicated, 0);
    EXPECT_GT(link.reordered, 0);
    EXPECT_GT(link.stalled, 0);
    EXPECT_GT(link.delayed, 0);
    EXPECT_GT(link.extra_bytes, link.lost + link.duplicated + link.reordered);
    EXPECT_LT(link.extra_bytes, 2 * link.bytes);
    EXPECT_EQ(link.flipped, 0);
  }
  EXPECT_EQ(counters.cut + counters.truncated + counters.refused, 0);
}

TEST(NetProxyTest, AnswersTakeAtLeastBothLatencies) {
  Line line(
      {.up = {.latency_ms = 30, .jitter_ms = 10}, .down = {.latency_ms = 20}, .partitions = {}});
  line.open();
  EXPECT_GE(line.elapsed(), milliseconds(50));  // the handshake
  for (std::size_t turn = 0; turn < 5; ++turn) {
    const auto before = line.elapsed();
    line.send(line.device(), bytes_of(10));
    ASSERT_EQ(line.receive(line.coordinator(), 10).bytes.size(), 10U);
    line.send(line.coordinator(), bytes_of(10));
    ASSERT_EQ(line.receive(line.device(), 10).bytes.size(), 10U);
    EXPECT_GE(line.elapsed() - before, milliseconds(20 + 20));
  }
}

TEST(NetProxyTest, FlipsChangeWhatTheyCount) {
  Line line({.up = {.bit_flip = 0.3}, .down = {}, .partitions = {}});
  line.open();
  const Bytes sent = bytes_of(200'000);
  line.send(line.device(), sent);
  const Bytes received = line.receive(line.coordinator(), sent.size()).bytes;
  ASSERT_EQ(received.size(), sent.size());
  std::int64_t changed = 0;
  for (std::size_t i = 0; i < sent.size(); ++i)
    changed += std::popcount(static_cast<unsigned>(sent[i] ^ received[i]));
  EXPECT_GT(changed, 10);
  EXPECT_EQ(changed, line.counters().up.flipped);
}

TEST(NetProxyTest, TruncationDropsTheRestAndClosesBothSides) {
  Line line({.up = {.latency_ms = 5, .truncate = 0.05}, .down = {}, .partitions = {}});
  line.open();
  const Bytes sent = bytes_of(500'000);
  line.send(line.device(), sent);
  const Line::Received received = line.receive(line.coordinator(), sent.size());
  EXPECT_TRUE(received.has_ended);
  EXPECT_LT(received.bytes.size(), sent.size());
  EXPECT_TRUE(std::equal(received.bytes.begin(), received.bytes.end(), sent.begin()));
  EXPECT_TRUE(line.receive(line.device(), 1).has_ended);
  const NetProxyCounters counters = line.counters();
  EXPECT_EQ(counters.truncated, 1);
  EXPECT_EQ(counters.up.bytes, static_cast<std::int64_t>(received.bytes.size()));
}

TEST(NetProxyTest, ACutAfterBytesLetsSoManyPassAndResetsBothSides) {
  for (const std::int64_t limit : {1, 1448, 10'001}) {
    Line line({.up = {.latency_ms = 5, .cut_after_bytes = limit}, .down = {}, .partitions = {}});
    line.open();
    const Bytes sent = bytes_of(20'000);
    line.send(line.device(), sent);
    const Line::Received received = line.receive(line.coordinator(), sent.size());
    EXPECT_EQ(received.bytes, Bytes(sent.begin(), sent.begin() + limit));
    EXPECT_TRUE(received.is_reset);
    EXPECT_TRUE(line.receive(line.device(), 1).is_reset);
    EXPECT_EQ(line.counters().cut, 1);
  }
}

TEST(NetProxyTest, ARandomCutResetsBothSides) {
  Line line({.up = {}, .down = {.cut = 0.05}, .partitions = {}});
  line.open();
  const Bytes sent = bytes_of(500'000);
  line.send(line.coordinator(), sent);
  const Line::Received received = line.receive(line.device(), sent.size());
  EXPECT_TRUE(received.is_reset);
  EXPECT_TRUE(std::equal(received.bytes.begin(), received.bytes.end(), sent.begin()));
  EXPECT_TRUE(line.receive(line.coordinator(), 1).has_ended);
  EXPECT_EQ(line.counters().cut, 1);
}

TEST(NetProxyTest, APartitionBlocksAndHeals) {
  Line line({.up = {}, .down = {}, .partitions = {{0.2, 0.5, Partition::Stops::kUp}}});
  line.open();  // on a slow machine perhaps only after the partition; what is expected stays
  line.receive(line.coordinator(), 1, milliseconds(250) - line.elapsed());  // until it has begun
  line.send(line.device(), {1, 2, 3});
  EXPECT_EQ(line.receive(line.coordinator(), 3).bytes, Bytes({1, 2, 3}));
  EXPECT_GE(line.elapsed(), milliseconds(700));
  line.send(line.device(), {4});
  EXPECT_EQ(line.receive(line.coordinator(), 1).bytes, Bytes({4}));
}

TEST(NetProxyTest, NewConnectionsHangInAPartition) {
  Line line({.up = {}, .down = {}, .partitions = {{0, 0.4, Partition::Stops::kDown}}});
  line.connect();
  line.send(line.device(), {1});
  ASSERT_TRUE(line.accept());
  EXPECT_GE(line.elapsed(), milliseconds(400));
  EXPECT_EQ(line.receive(line.coordinator(), 1).bytes, Bytes({1}));
}

TEST(NetProxyTest, WhoLeavesInAPartitionIsNeverHeardOf) {
  Line line({.up = {}, .down = {}, .partitions = {{0, 0.2}}});
  line.connect();
  line.device().close();
  EXPECT_FALSE(line.accept(milliseconds(400)));
  EXPECT_EQ(line.counters().connections, 1);
}

TEST(NetProxyTest, NewConnectionsAreRefusedInAPartition) {
  Line line({.up = {},
             .down = {},
             .partitions = {{0, 1000, Partition::Stops::kBoth, Partition::Connect::kRefuse}}});
  line.connect();
  EXPECT_TRUE(line.receive(line.device(), 1).is_reset);
  EXPECT_FALSE(line.accept(milliseconds(20)));
  EXPECT_EQ(line.counters().refused, 1);
}

TEST(NetProxyTest, WithNobodyBehindItConnectionsAreReset) {
  Line line({});
  line.stop_listening();
  line.connect();
  EXPECT_TRUE(line.receive(line.device(), 1).is_reset);
  EXPECT_EQ(line.counters().refused, 1);
}

TEST(NetProxyTest, AnEndPassesAndTheOtherDirectionGoesOn) {
  Line line(both({.latency_ms = 5}));
  line.open();
  line.send(line.device(), {1, 2});
  ASSERT_EQ(line.receive(line.coordinator(), 1).bytes, Bytes({1}));
  line.device().shutdown(Line::Socket::shutdown_send);
  const Line::Received received = line.receive(line.coordinator(), 5);
  EXPECT_EQ(received.bytes, Bytes({2}));
  EXPECT_TRUE(received.has_ended && !received.is_reset);
  line.send(line.coordinator(), bytes_of(100'000));
  EXPECT_EQ(line.receive(line.device(), 100'000).bytes, bytes_of(100'000));
  line.coordinator().close();
  EXPECT_TRUE(line.receive(line.device(), 1).has_ended);
}

TEST(NetProxyTest, AResetPasses) {
  Line line(both({.latency_ms = 5}));
  line.open();
  line.coordinator().set_option(boost::asio::socket_base::linger(true, 0));
  line.coordinator().close();
  EXPECT_TRUE(line.receive(line.device(), 1).is_reset);
}

TEST(NetProxyTest, ASenderWaitsForAReceiverThatDoesNotRead) {
  Scenario scenario;
  scenario.queue_bytes = 65'536;
  Line line(scenario);
  line.open();
  const Bytes sent = bytes_of(4'000'000);
  line.send(line.device(), sent);
  line.receive(line.device(), 1, milliseconds(200));  // nothing comes; time for all that passes
  // The queue, and both ends of the kernel's two connections, each of which doubles its 64 KiB.
  EXPECT_LT(line.sent(), 1'500'000U);
  line.open();  // others are served
  line.send(line.device(), {7});
  EXPECT_EQ(line.receive(line.coordinator(), 1).bytes, Bytes({7}));
  const NetProxyCounters counters = line.counters();
  EXPECT_GT(counters.up.peak_held_bytes, 32 * 1024);
  EXPECT_LE(counters.up.peak_held_bytes, 64 * 1024);
}

TEST(NetProxyTest, SmallSegmentsFillTheQueueSooner) {
  Scenario scenario;
  scenario.queue_bytes = 4096;
  scenario.up.latency_ms = 50;
  Line line(scenario);
  line.open();
  const Bytes sent = bytes_of(400);
  for (const std::uint8_t byte : sent) line.send(line.device(), {byte});
  EXPECT_EQ(line.receive(line.coordinator(), sent.size()).bytes, sent);
  EXPECT_LE(line.counters().up.peak_held_bytes, 4096);
}

// Byte for byte in turn, so that the segments are the same.
Bytes damaged(std::uint64_t seed) {
  Line line({.up = {.bit_flip = 0.5}, .down = {}, .partitions = {}}, seed);
  line.open();
  Bytes out;
  for (int turn = 0; turn < 64; ++turn) {
    line.send(line.device(), {0});
    const Bytes received = line.receive(line.coordinator(), 1).bytes;
    out.insert(out.end(), received.begin(), received.end());
  }
  return out;
}

TEST(NetProxyTest, TheSameSeedDamagesTheSameBits) {
  const Bytes first = damaged(11);
  EXPECT_NE(first, Bytes(64, 0));
  EXPECT_EQ(damaged(11), first);
  EXPECT_NE(damaged(12), first);
}

TEST(NetProxyTest, RefusesAddressesThatItCannotUse) {
  const auto refusal = [](const NetProxyOptions& options) -> std::string {
    try {
      const NetProxy proxy(options, {});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  NetProxyOptions good;
  good.to_host = "127.0.0.1";
  EXPECT_EQ(refusal(good), "");
  NetProxyOptions bad = good;
  bad.address = "here";
  EXPECT_NE(refusal(bad).find("expected an address to listen on, got here port 0"),
            std::string::npos)
      << refusal(bad);
  const NetProxy taken(good, {});
  bad = good;
  bad.port = taken.port();
  EXPECT_NE(refusal(bad).find("in use"), std::string::npos) << refusal(bad);
  bad = good;
  bad.to_host = "no host at all";
  EXPECT_NE(refusal(bad).find("expected a host to connect to, got 'no host at all'"),
            std::string::npos)
      << refusal(bad);
  bad = good;
  bad.max_connections = 0;
  EXPECT_NE(refusal(bad).find("room for a connection, got 0"), std::string::npos);
}

TEST(NetProxyTest, CountersAreOneLine) {
  NetProxyCounters counters;
  counters.connections = 5;
  counters.cut = 2;
  counters.up.bytes = 10;
  const std::string line = counters_text(counters);
  EXPECT_NE(line.find("5 connections (0 refused), 10 bytes up"), std::string::npos) << line;
  EXPECT_NE(line.find("2 cut"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace coppice::netproxy
