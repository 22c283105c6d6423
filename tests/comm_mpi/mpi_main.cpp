// One rank of an MPI test: mpirun -np N comm_mpi_test [--forced-nodes=N] [--max-message-bytes=N]
// [--leave=HOW].
// --leave lets the last rank go while the others wait in a sum: by "error", "abort" (exit code 7)
// or "kill".

#include <gtest/gtest.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include "comm/communicator.h"
#include "core/error.h"
#include "tests/comm/communicator_contract.h"

namespace coppice {
namespace {

Communicator* communicator = nullptr;  // of this process; GoogleTest's tests take no arguments

TEST(MpiCommunicatorTest, CollectivesEqualTheirClosedForms) { check_collectives(*communicator); }

TEST(MpiCommunicatorTest, SumsEqualTheirClosedFormsWhileTheyGrowAndShrink) {
  for (const std::size_t length : {10, 10000, 20, 300000, 1, 3000000, 100}) {
    for (int root = 0; root < communicator->size(); ++root)
      check_reduce(*communicator, root, length);
  }
}

TEST(MpiCommunicatorTest, RepeatedSumsDoNotSeeEachOthersMemory) {
  for (int i = 0; i < 300; ++i)
    check_reduce(*communicator, i % communicator->size(), static_cast<std::size_t>(i % 40));
}

TEST(MpiCommunicatorTest, DifferentLengthsOrRootsAreAnErrorOnEveryRankAndTheGroupGoesOn) {
  if (communicator->size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const bool is_last = communicator->rank() == communicator->size() - 1;
  std::vector<std::int64_t> values(is_last ? 9 : 10);
  EXPECT_THROW(communicator->reduce_sum(values, 0), CommError);
  values.resize(10);
  EXPECT_THROW(communicator->reduce_sum(values, is_last ? 1 : 0), CommError);
  check_reduce(*communicator, 0, 10);
}

TEST(MpiCommunicatorTest, RootThatDoesNotExistIsRefused) {
  EXPECT_THROW(communicator->gather({}, communicator->size()), CommError);
  EXPECT_THROW(communicator->gather({}, -1), CommError);
}

TEST(MpiCommunicatorTest, SecondCommunicatorOfAProcessIsRefused) {
  EXPECT_THROW(make_mpi_communicator(nullptr, nullptr, {}), CommError);
}

TEST(MpiCommunicatorTest, ReduceOptionsOutsideTheirRangeAreRefused) {
  EXPECT_THROW(make_mpi_communicator(nullptr, nullptr, {.forced_nodes = -1}), ConfigError);
  EXPECT_THROW(make_mpi_communicator(nullptr, nullptr, {.max_message_bytes = 8}), ConfigError);
}

TEST(MpiCommunicatorTest, LibraryNamesItsVersion) {
  const std::string version = mpi_library_version();
  EXPECT_FALSE(version.empty());
  EXPECT_EQ(version.find('\n'), std::string::npos);
}

struct Arguments {
  ReduceOptions reduce;
  std::string_view leave;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto value = argument.substr(std::min(argument.find('=') + 1, argument.size()));
    if (argument.starts_with("--forced-nodes=")) {
      std::from_chars(value.begin(), value.end(), arguments.reduce.forced_nodes);
    } else if (argument.starts_with("--max-message-bytes=")) {
      std::from_chars(value.begin(), value.end(), arguments.reduce.max_message_bytes);
    } else if (argument.starts_with("--leave=")) {
      arguments.leave = value;
    } else {
      throw std::invalid_argument(argv[i]);
    }
  }
  return arguments;
}

// The last rank goes; the others must not wait for ever.
void leave(std::string_view how) {
  check_reduce(*communicator, 0, 1000);
  if (communicator->rank() == communicator->size() - 1) {
    if (how == "abort") communicator->abort(7);
    if (how == "kill") std::raise(SIGKILL);
    throw DataError("client 7 has no data");
  }
  check_reduce(*communicator, 0, 1000);
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const Arguments arguments = parse(argc, argv);
  const auto owned = make_mpi_communicator(&argc, &argv, arguments.reduce);
  communicator = owned.get();
  if (!arguments.leave.empty()) {
    leave(arguments.leave);
    return 0;
  }
  if (owned->rank() != 0) {  // a failure anywhere becomes the exit code; rank 0 tells the story
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
  }
  const int failed = RUN_ALL_TESTS();
  std::vector<std::int64_t> failed_ranks{failed == 0 ? 0 : 1};
  owned->reduce_sum(failed_ranks, 0);
  if (owned->rank() == 0 && failed_ranks[0] != 0)
    std::fprintf(stderr, "failed on %d ranks\n", static_cast<int>(failed_ranks[0]));
  return failed;
}

}  // namespace
}  // namespace coppice

int main(int argc, char** argv) {
  try {
    return coppice::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", coppice::describe(error).c_str());
    return 1;
  }
}
