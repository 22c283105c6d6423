// `coppice serve` and five devices with `coppice netproxy` between them, as processes: however bad
// the network, the model is the one that `coppice run` makes.

#include <charconv>

#include "tests/end_to_end/edge_fixture.h"

namespace coppice::testing {
namespace {

class NetproxyTest : public EdgeTest {
 protected:
  struct Proxy {
    std::unique_ptr<Process> process;
    std::string address;  // as devices connect
  };

  Proxy netproxy(const std::string& to, const std::string& scenario) const {
    write("net.yaml", scenario);
    Proxy out{
        std::make_unique<Process>(Command{
            .arguments = {std::string(COPPICE_BINARY_DIR) + "/coppice", "netproxy", "--listen",
                          "127.0.0.1:0", "--to", to, "--scenario", "net.yaml", "--seed", "7"},
            .environment = {},
            .folder = folder()}),
        {}};
    out.address = word_after(*out.process, "listens  ");
    return out;
  }

  // Its last line, once it was asked to end.
  static std::string counters_of(Proxy& proxy) {
    proxy.process->ask_to_end();
    const Outcome outcome = proxy.process->wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::size_t begin = outcome.out.find("ends     ");
    EXPECT_NE(begin, std::string::npos) << outcome.out;
    return begin == std::string::npos ? "" : outcome.out.substr(begin + 9);
  }

  // The number before `what`.
  static std::int64_t count(const std::string& counters, const std::string& what) {
    const std::size_t end = counters.find(" " + what);
    const std::size_t begin = counters.find_last_not_of("0123456789", end - 1) + 1;
    std::int64_t value = -1;
    if (end != std::string::npos)
      std::from_chars(counters.data() + begin, counters.data() + end, value);
    EXPECT_GE(value, 0) << counters;
    return value;
  }

  // A device whose connection breaks with the coordinator's last word waits for another run.
  enum class LastWord : std::uint8_t { kArrives, kMayBeLost };

  // Five devices through `scenario`; gives the proxy's counters.
  std::string expect_same_model(const std::string& scenario, LastWord last_word) {
    const std::string expected = model_of({.out = "ranks", .more = kCompressed});
    Coordinator coordinator = serve({.out = "served", .more = kCompressed});
    Proxy proxy = netproxy(coordinator.address, scenario);
    std::vector<std::unique_ptr<Process>> devices = edges(proxy.address, 0, 4);
    EXPECT_EQ(model_of(coordinator), expected);
    if (last_word == LastWord::kArrives) expect_done(devices);
    std::string counters = counters_of(proxy);
    RecordProperty("counters", counters);
    return counters;
  }
};

TEST_F(NetproxyTest, ASlowLossyNetworkMakesTheModelOfARun) {
  const std::string counters = expect_same_model(
      "both: {latency_ms: 200, jitter_ms: 100, loss: 0.05, duplicate: 0.05, reorder: 0.05}",
      LastWord::kArrives);
  // Three losses in a row are a longer silence than both ends put up with; they are rare.
  EXPECT_LT(count(counters, "connections ("), 10) << counters;
  for (const char* what : {"delayed", "lost", "duplicated", "reordered"})
    EXPECT_GT(count(counters, what), 0) << counters;
  for (const char* what : {"flipped", "truncated", "cut"})
    EXPECT_EQ(count(counters, what), 0) << counters;
}

TEST_F(NetproxyTest, DevicesComeBackFromFlippedBits) {
  const std::string counters =
      expect_same_model("both: {latency_ms: 2, bit_flip: 0.01}", LastWord::kMayBeLost);
  EXPECT_GE(count(counters, "flipped"), 3) << counters;
  EXPECT_GE(count(counters, "connections ("), 8) << counters;
}

TEST_F(NetproxyTest, DevicesComeBackFromCutsAndTruncations) {
  const std::string counters =
      expect_same_model("both: {latency_ms: 2, cut: 0.005, truncate: 0.005}", LastWord::kMayBeLost);
  EXPECT_GE(count(counters, "truncated") + count(counters, "cut"), 3) << counters;
}

TEST_F(NetproxyTest, APartitionHeals) {
  // Longer than the silence that both ends put up with. The latency makes the run last into the
  // first on fast machines, and into the second on slow ones.
  const std::string counters = expect_same_model(
      "both: {latency_ms: 100}\n"
      "partitions: [{from_s: 2, for_s: 4}, {from_s: 9, for_s: 4, direction: up, connect: refuse}]",
      LastWord::kArrives);
  EXPECT_GT(count(counters, "connections ("), 5) << counters;
}

TEST_F(NetproxyTest, BadScenariosAndAddressesAreRefused) {
  const auto expect_refusal = [&](std::vector<std::string> arguments, const std::string& said) {
    arguments.insert(arguments.begin(), {std::string(COPPICE_BINARY_DIR) + "/coppice", "netproxy"});
    const Outcome outcome =
        run_command({.arguments = std::move(arguments), .environment = {}, .folder = folder()});
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
    expect_one_paragraph(outcome.err, said);
  };
  write("bad.yaml", "up:\n  latency_ms: soon\n");
  expect_refusal({"--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--scenario", "bad.yaml"},
                 "bad.yaml:2:15: up: latency_ms: expected a number from 0 to 60000, got 'soon'");
  expect_refusal({"--listen", "here", "--to", "127.0.0.1:1"}, "expected HOST:PORT, got 'here'");
  expect_refusal({"--listen", "127.0.0.1:0"}, "--to");
}

}  // namespace
}  // namespace coppice::testing
