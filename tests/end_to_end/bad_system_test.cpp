// Coordinators and devices whose wall clock jumps, and a coordinator whose disk is full
// (preload/bad_system.cpp).
#include "tests/end_to_end/edge_fixture.h"

namespace coppice::testing {
namespace {

std::string preload() { return std::string("LD_PRELOAD=") + COPPICE_BAD_SYSTEM; }

class BadSystemTest : public EdgeTest {};

// Twenty minutes to and fro, ten times a second: certificates stay valid, and nothing else looks at
// the wall clock.
TEST_F(BadSystemTest, AJumpingClockIsNotNoticed) {
  std::vector<std::string> more = kCompressed;
  more.emplace_back("network.silence=60s");  // a busy machine may be silent for three
  model_of({.out = "ranks", .more = more});
  const std::vector<std::string> environment{preload(), "CLOCK_JUMP=1200"};
  Coordinator coordinator = serve({.out = "served", .more = more, .environment = environment});
  std::vector<std::unique_ptr<Process>> devices;
  devices.reserve(5);
  for (int client = 0; client < 5; ++client)
    devices.push_back(edge(coordinator.address, client, environment));
  const Outcome outcome = coordinator.process->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out.find("is gone"), std::string::npos) << outcome.out;
  EXPECT_EQ(result_of(path("served")).model, result_of(path("ranks")).model);
  expect_done(devices);
}

// A clock that is behind the certificates half of the time: handshakes fail while it is, and
// devices try until one does not.
TEST_F(BadSystemTest, AClockBeforeTheCertificatesOnlyDelays) {
  const std::string expected = model_of({.out = "ranks", .more = kCompressed});
  Coordinator coordinator = serve(
      {.out = "served", .more = kCompressed, .environment = {preload(), "CLOCK_JUMP=-86400"}});
  std::vector<std::unique_ptr<Process>> devices = edges(coordinator.address, 0, 4);
  EXPECT_EQ(model_of(coordinator), expected);
  expect_done(devices);
}

// The run ends and says why, devices stay, and with room it goes on to the same model.
TEST_F(BadSystemTest, AFullDiskEndsTheRunWhichGoesOnWhenThereIsRoom) {
  const std::string expected = model_of({.out = "ranks", .more = kCompressed});
  for (const std::string room : {"9000", "20000", "30000"}) {
    SCOPED_TRACE(room);
    const RunRequest request{.out = "full" + room,
                             .more = kCompressed,
                             .environment = {preload(), "DISK_BYTES=" + room}};
    Coordinator first = serve(request);
    std::vector<std::unique_ptr<Process>> devices = edges(first.address, 0, 4);
    const Outcome ended = first.process->wait();
    EXPECT_EQ(ended.signal, 0);
    EXPECT_NE(ended.exit_code, 0) << ended.out;
    EXPECT_NE(ended.err.find("No space left on device"), std::string::npos) << ended.err;
    Coordinator again = serve_again(request, first.address);
    EXPECT_EQ(model_of(again), expected);
    expect_done(devices);
  }
}

}  // namespace
}  // namespace coppice::testing
