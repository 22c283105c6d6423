#include "comm/netproxy/scenario.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace coppice::netproxy {
namespace {

constexpr const char* kWhole =
    "up: {latency_ms: 50, bandwidth_kbps: 1000, cut_after_bytes: 4KiB}\n"
    "both: {latency_ms: 100, jitter_ms: 20.5, loss: 0.05, duplicate: 0.01, reorder: 0.02,\n"
    "       stall: 0.1, stall_ms: 300, bit_flip: 0.001, truncate: 0.002, cut: 0.003}\n"
    "partitions:\n"
    "  - {from_s: 10, for_s: 5, direction: up, connect: refuse}\n"
    "  - {for_s: 0.5}\n"
    "queue_bytes: 64KiB\n";

std::string refusal_of(const std::string& yaml) {
  try {
    parse_scenario(yaml, "net.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ScenarioTest, IsReadWhole) {
  const LinkConditions down{.latency_ms = 100,
                            .jitter_ms = 20.5,
                            .loss = 0.05,
                            .duplicate = 0.01,
                            .reorder = 0.02,
                            .stall = 0.1,
                            .stall_ms = 300,
                            .bit_flip = 0.001,
                            .truncate = 0.002,
                            .cut = 0.003};
  LinkConditions up = down;  // but for its own keys, wherever they stand
  up.latency_ms = 50;
  up.bandwidth_kbps = 1000;
  up.cut_after_bytes = 4096;
  const Scenario expected{
      .up = up,
      .down = down,
      .partitions = {{10, 5, Partition::Stops::kUp, Partition::Connect::kRefuse},
                     {0, 0.5, Partition::Stops::kBoth, Partition::Connect::kHang}},
      .queue_bytes = 65536};
  EXPECT_EQ(parse_scenario(kWhole, "net.yaml"), expected);
  EXPECT_EQ(parse_scenario("", "net.yaml"), Scenario{});
}

TEST(ScenarioTest, SaysWhatIsWrongWhereAndWhatItExpected) {
  const struct {
    const char* yaml;
    const char* said;
  } refused[] = {
      {"up: {latency_ms: ten}",
       "net.yaml:1:18: up: latency_ms: expected a number from 0 to 60000, got 'ten'"},
      {"up: {latency_ms: -1}", "expected a number from 0 to 60000, got '-1'"},
      {"down:\n  loss: 1\n", "net.yaml:2:9: down: loss: expected a number from 0 to 0.9, got '1'"},
      {"both: {cut: 1.5}", "cut: expected a number from 0 to 1, got '1.5'"},
      {"both: {cut: .nan}", "cut: expected a number from 0 to 1"},
      {"up: {latency: 5}", "unknown condition of a link 'latency'; did you mean 'latency_ms'?"},
      {"uo: {latency_ms: 5}", "net.yaml:1:1: unknown key of a scenario 'uo'; did you mean 'up'?"},
      {"up: 5", "up: expected a map of keys: "},
      {"5", "expected a map of keys: both, up, down, partitions, queue_bytes, got '5'"},
      {"both: {latency_ms: 5, jitter_ms: 6}",
       "up: expected a jitter_ms of at most latency_ms, which is 5, got 6"},
      {"down: {stall: 0.5}", "down: expected stall and stall_ms together, got 0.5 and 0"},
      {"up: {bandwidth_kbps: 0}", "bandwidth_kbps: expected a number from 1 to 1e+08, got '0'"},
      {"up: {cut_after_bytes: 0}", "cut_after_bytes: expected bytes such as"},
      {"queue_bytes: 100", "queue_bytes: expected bytes from 2896 to 1073741824, got '100'"},
      {"partitions: {for_s: 1}", "partitions: expected a list of partitions"},
      {"partitions: [{from_s: 1}]", "net.yaml:1:14: partitions: expected for_s"},
      {"partitions: [{for_s: 0}]", "for_s: expected a number above 0, at most 1e+06, got '0'"},
      {"partitions: [{for_s: 1, direction: sideways}]",
       "direction: expected one of both, up, down"},
      {"partitions: [{for_s: 1, connect: maybe}]", "connect: expected one of hang, refuse"},
      {"partitions: [{for_s: 1, til_s: 2}]", "unknown key of a partition 'til_s'"},
      {"up: {loss: 0.1, loss: 0.2}", "net.yaml:1:"},
      {"up: {", "net.yaml:"},
  };
  for (const auto& bad : refused) {
    const std::string said = refusal_of(bad.yaml);
    EXPECT_NE(said.find(bad.said), std::string::npos) << bad.yaml << "\nsaid: " << said;
  }
  EXPECT_THROW(load_scenario("/nowhere/net.yaml"), Error);
}

TEST(ScenarioTest, SurvivesEveryTruncationAndBitFlip) {
  const std::string whole = kWhole;
  int refused = 0;
  const auto feed = [&](const std::string& yaml) {
    try {
      const Scenario scenario = parse_scenario(yaml, "net.yaml");
      EXPECT_LE(scenario.up.jitter_ms, scenario.up.latency_ms);  // what is let in holds together
      EXPECT_LE(scenario.up.loss, 0.9);
    } catch (const ConfigError&) {
      ++refused;
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) feed(whole.substr(0, size));
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    feed(damaged);
  }
  EXPECT_GT(refused, 1000);
}

TEST(ScenarioTest, ExamplesAreGood) {
  for (const char* name : {"wifi", "mobile", "flaky"}) {
    const Scenario scenario =
        load_scenario(std::string(COPPICE_SOURCE_DIR) + "/configs/net/" + name + ".yaml");
    EXPECT_GT(scenario.up.latency_ms, 0.0) << name;
  }
}

}  // namespace
}  // namespace coppice::netproxy
