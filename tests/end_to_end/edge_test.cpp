// `coppice serve` and `coppice edge` as processes over loopback TLS: the model is the one that
// `coppice run` makes, also when the coordinator or a device is killed and started again.

#include <algorithm>
#include <csignal>
#include <utility>

#include "core/failpoint.h"
#include "tests/end_to_end/edge_fixture.h"
#include "tests/end_to_end/tiny_data.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

TEST_F(EdgeTest, DevicesMakeTheModelOfARun) {
  const std::vector<std::string> ballots_and_teacher{
      "lenet5.yaml", "train.clients_per_round=3", "comm.codec=rotated", "train.rounds=2",
      "compress={control: false, prune: {pruner: taylor, batches: 1, half_batch: 4}, "
      "distill: {teacher: warmup}}"};
  const std::vector<std::string> gated{"gated.yaml"};
  int number = 0;
  for (const std::vector<std::string>& more : {kCompressed, ballots_and_teacher, gated}) {
    SCOPED_TRACE(more.front());
    const std::string name = std::to_string(++number);
    const std::string expected = model_of({.out = "ranks" + name, .more = more});
    Coordinator coordinator = serve({.out = "served" + name, .more = more});
    std::vector<std::unique_ptr<Process>> devices = edges(coordinator.address, 0, 4);
    EXPECT_EQ(model_of(coordinator), expected);
    expect_done(devices);
    EXPECT_EQ(result_of(path("served" + name)).metrics, result_of(path("ranks" + name)).metrics);
  }
}

// Devices whose samples nobody else reads, against ranks that read all of them.
TEST_F(EdgeTest, DevicesWithDataOfTheirOwnMakeTheModelOfARun) {
  write_tiny_npz(path("all.npz"), 3);
  const auto with = [](const std::string& scheme) {
    return std::vector<std::string>{
        "tiny.yaml",
        "data={name: npz, root: all.npz, validation_fraction: 0.25, partition: {scheme: " + scheme +
            ", clients: 3}}"};
  };
  const std::string expected = model_of({.out = "ranks", .more = with("by_key")});
  const RunRequest request{
      .out = "own", .more = with("devices"), .environment = {"COPPICE_FAILPOINT=after_reduce:2"}};
  Coordinator first = serve(request);
  std::vector<std::unique_ptr<Process>> devices;
  for (int client = 0; client < 3; ++client) {
    const std::string site = "site" + std::to_string(client) + ".npz";
    write_tiny_npz_of(path(site), client);
    devices.push_back(edge(first.address, client, {}, site));
  }
  EXPECT_EQ(first.process->wait().signal, SIGKILL);
  Coordinator again = serve_again(request, first.address);
  EXPECT_EQ(model_of(again), expected);
  expect_done(devices);
}

TEST_F(EdgeTest, ADeviceNeedsNeitherLibTorchNorMuchRoom) {
  const fs::path program = fs::path(COPPICE_BINARY_DIR) / "coppice-edge";
  EXPECT_LT(fs::file_size(program), 8U << 20U);
  const Outcome libraries = run_command(
      {.arguments = {"/usr/bin/ldd", program.string()}, .environment = {}, .folder = folder()});
  EXPECT_EQ(libraries.exit_code, 0);
  EXPECT_NE(libraries.out.find("libssl"), std::string::npos) << libraries.out;
  for (const char* absent : {"torch", "libmpi", "c10"})
    EXPECT_EQ(libraries.out.find(absent), std::string::npos) << libraries.out;
}

TEST_F(EdgeTest, RanksMaySimulateTheOtherClients) {
  const std::string expected = model_of({.out = "ranks", .more = kCompressed});
  std::vector<std::string> more = kCompressed;
  more.insert(more.end(), {"--devices", "1,3-4"});
  Coordinator coordinator = serve({.out = "mixed", .more = more, .threads = 2});
  std::vector<std::unique_ptr<Process>> devices = edges(coordinator.address, 3, 4);
  devices.push_back(edge(coordinator.address, 1));
  EXPECT_EQ(model_of(coordinator), expected);
  expect_done(devices);
}

// A failpoint and the visit that kills, "name:visit", of runs of kCompressed.
constexpr std::string_view kCoordinatorDeaths[] = {
    "after_start:1",       "after_plan:2",    "after_broadcast:3",   "after_train:3",
    "after_acceptance:1",  "after_reduce:4",  "after_acceptance:13", "after_apply:5",
    "during_checkpoint:2", "after_control:1", "after_checkpoint:3",  "before_commit:4",
    "during_commit:5",     "after_commit:6",  "before_model:1",      "before_report:1",
    "before_summary:1"};
// In runs of a config of their own.
constexpr std::pair<std::string_view, const char*> kDeviceDeaths[] = {
    {"after_client:2", "compressed.yaml"}, {"after_count:1", "compressed.yaml"},
    {"after_sense:1", "allocated.yaml"},   {"after_compare:1", "gated.yaml"},
    {"after_answer:1", "compressed.yaml"}, {"after_answer:4", "compressed.yaml"}};

TEST(EdgeDeathsTest, EveryFailpointIsAmongThem) {
  for (const std::string_view name : known_failpoints()) {
    const auto is_it = [&](std::string_view death) {
      return death.starts_with(std::string(name) + ":");
    };
    const bool is_device =
        std::ranges::any_of(kDeviceDeaths, [&](const auto& death) { return is_it(death.first); });
    EXPECT_NE(std::ranges::any_of(kCoordinatorDeaths, is_it), is_device) << name;
  }
}

std::string test_name(std::string_view death) {
  std::string name(death);
  std::ranges::replace(name, ':', '_');
  return name;
}

class CoordinatorDeathTest : public EdgeTest,
                             public ::testing::WithParamInterface<std::string_view> {};

TEST_P(CoordinatorDeathTest, IsSurvivedAndDevicesComeBack) {
  const std::string death(GetParam());
  const std::string expected = model_of({.out = "ranks", .more = kCompressed});
  const RunRequest request{
      .out = "killed", .more = kCompressed, .environment = {"COPPICE_FAILPOINT=" + death}};
  Coordinator first = serve(request);
  std::vector<std::unique_ptr<Process>> devices = edges(first.address, 0, 4);
  ASSERT_EQ(first.process->wait().signal, SIGKILL);
  Coordinator again = serve_again(request, first.address);
  EXPECT_EQ(model_of(again), expected);
  // Where there was nothing left to ask, the run may be over before devices are back; they wait for
  // another.
  const bool has_questions = death != "after_commit:6" && death != "before_model:1" &&
                             death != "before_report:1" && death != "before_summary:1";
  if (has_questions) expect_done(devices);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, CoordinatorDeathTest, ::testing::ValuesIn(kCoordinatorDeaths),
                         [](const auto& death) { return test_name(death.param); });

class DeviceDeathTest
    : public EdgeTest,
      public ::testing::WithParamInterface<std::pair<std::string_view, const char*>> {};

// It comes back with nothing, and is given what it needs.
TEST_P(DeviceDeathTest, CostsTheRunNothing) {
  const auto& [death, config] = GetParam();
  const std::vector<std::string> more{config};
  const std::string expected = model_of({.out = "ranks", .more = more});
  Coordinator coordinator = serve({.out = "served", .more = more});
  std::vector<std::unique_ptr<Process>> devices = edges(coordinator.address, 0, 3);
  ASSERT_EQ(
      edge(coordinator.address, 4, {"COPPICE_FAILPOINT=" + std::string(death)})->wait().signal,
      SIGKILL);
  devices.push_back(edge(coordinator.address, 4));
  EXPECT_EQ(model_of(coordinator), expected);
  expect_done(devices);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, DeviceDeathTest, ::testing::ValuesIn(kDeviceDeaths),
                         [](const auto& death) { return test_name(death.param.first); });

TEST_F(EdgeTest, ADeviceThatDiesAgainAndAgainComesBackWithNothing) {
  const std::string expected = model_of({.out = "ranks", .more = kCompressed});
  Coordinator coordinator = serve({.out = "served", .more = kCompressed});
  std::vector<std::unique_ptr<Process>> devices = edges(coordinator.address, 0, 3);
  for (const std::string visit : {"1", "2", "4"}) {  // its third life has the teacher already
    EXPECT_EQ(
        edge(coordinator.address, 4, {"COPPICE_FAILPOINT=after_answer:" + visit})->wait().signal,
        SIGKILL);
  }
  devices.push_back(edge(coordinator.address, 4));
  EXPECT_EQ(model_of(coordinator), expected);
  expect_done(devices);
}

// A device that is another process than the one that had the model needs it whole, and a restarted
// coordinator does not know which one they have.
TEST_F(EdgeTest, ChangesOfTheModelTravelOnAfterDeaths) {
  std::vector<std::string> more = kCompressed;
  more.emplace_back("comm.downlink={codec: rotated, bits: 4}");
  const std::string expected = model_of({.out = "ranks", .more = more});
  const RunRequest request{
      .out = "killed", .more = more, .environment = {"COPPICE_FAILPOINT=after_reduce:4"}};
  Coordinator first = serve(request);
  std::vector<std::unique_ptr<Process>> devices = edges(first.address, 0, 3);
  const auto dying = edge(first.address, 4, {"COPPICE_FAILPOINT=after_answer:2"});
  EXPECT_EQ(dying->wait().signal, SIGKILL);
  devices.push_back(edge(first.address, 4));
  EXPECT_EQ(first.process->wait().signal, SIGKILL);
  Coordinator again = serve_again(request, first.address);
  EXPECT_EQ(model_of(again), expected);
  expect_done(devices);
}

// With a quorum that does without it the run goes on, with none it ends and says why.
TEST_F(EdgeTest, ADeviceThatDeclinesIsNamedAndMissing) {
  fs::create_directory(path("empty"));
  for (const bool has_quorum : {true, false}) {
    std::vector<std::string> more = kCompressed;
    if (has_quorum) more.insert(more.end(), {"network.quorum=0.8", "network.deadline=60s"});
    Coordinator coordinator = serve({.out = has_quorum ? "on" : "ends", .more = more});
    std::vector<std::unique_ptr<Process>> devices = edges(coordinator.address, 0, 3);
    const auto without_data = edge(coordinator.address, 4, {}, "empty");
    const Outcome outcome = coordinator.process->wait();
    EXPECT_EQ(outcome.exit_code, has_quorum ? 0 : 1) << outcome.out << outcome.err;
    const std::string& said = has_quorum ? outcome.out : outcome.err;
    EXPECT_NE(said.find("client-4 declined: "), std::string::npos) << outcome.out << outcome.err;
  }
}

TEST_F(EdgeTest, WhoHasNoPlaceIsToldSo) {
  Coordinator coordinator = serve({.out = "served", .more = kCompressed});
  const Outcome stranger = edge(coordinator.address, 5)->wait();
  EXPECT_EQ(stranger.exit_code, 2) << stranger.out << stranger.err;
  EXPECT_NE((stranger.out + stranger.err).find("client-5"), std::string::npos) << stranger.out;
  expect_refused({.out = "x",
                  .more = {"comm.codec=topk", "comm.error_feedback=true", "--pki", "pki",
                           "--listen", "127.0.0.1:0"},
                  .command = "serve"},
                 "comm.error_feedback: devices do not keep");
  expect_refused(
      {.out = "x", .more = {"--pki", "nowhere", "--listen", "127.0.0.1:0"}, .command = "serve"},
      "nowhere");
  expect_refused({.out = "x", .more = {"--pki", "pki", "--listen", "here"}, .command = "serve"},
                 "expected HOST:PORT, got 'here'");
  expect_refused(
      {.out = "x", .more = {"--pki", "pki", "--listen", coordinator.address}, .command = "serve"},
      "in use");
  expect_refused({.out = "x",
                  .more = {"--pki", "pki", "--listen", "127.0.0.1:0", "--devices", "3-5"},
                  .command = "serve"},
                 "--devices: expected clients from 0 to 4, got 5");
}

}  // namespace
}  // namespace coppice::testing
