#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

#include "comm/communicator.h"
#include "core/error.h"
#include "tests/comm/communicator_contract.h"

namespace coppice {
namespace {

std::string error_of(const auto& action) {
  try {
    action();
  } catch (const CommError& error) {
    return error.what();
  }
  return "no CommError";
}

TEST(LocalCommunicatorTest, CollectivesEqualTheirClosedForms) {
  for (const int ranks : {1, 2, 3, 4, 7}) run_local(ranks, check_collectives);
}

TEST(LocalCommunicatorTest, EveryRankRunsOnceAndRankZeroOnTheCallingThread) {
  std::atomic<int> sum = 0;
  const auto caller = std::this_thread::get_id();
  run_local(5, [&](Communicator& communicator) {
    sum += 1 << (4 * communicator.rank());
    EXPECT_EQ(communicator.size(), 5);
    EXPECT_EQ(communicator.rank() == 0, std::this_thread::get_id() == caller);
  });
  EXPECT_EQ(sum, 0x11111);
}

TEST(LocalCommunicatorTest, ThrowingRankReleasesTheOthersAndItsErrorIsRethrown) {
  for (const int thrower : {0, 1, 3}) {
    std::atomic<int> released = 0;
    const auto body = [&](Communicator& communicator) {
      communicator.barrier();
      if (communicator.rank() == thrower) throw DataError("client 7 has no data");
      std::vector<std::int64_t> values(100);
      try {
        communicator.reduce_sum(values, 0);
      } catch (const CommError& error) {
        EXPECT_NE(std::string(error.what()).find("client 7 has no data"), std::string::npos)
            << error.what();
        ++released;
        throw;
      }
    };
    EXPECT_THROW(run_local(4, body), DataError);
    EXPECT_EQ(released, 3);
  }
}

TEST(LocalCommunicatorTest, ErrorThatIsNoStandardExceptionReleasesTheOthersToo) {
  EXPECT_THROW(run_local(2,
                         [](Communicator& communicator) {
                           if (communicator.rank() == 1) throw 42;
                           communicator.barrier();
                         }),
               int);
}

TEST(LocalCommunicatorTest, RankThatEndsEarlyBreaksTheGroupInsteadOfHangingIt) {
  const auto message = error_of([] {
    run_local(3, [](Communicator& communicator) {
      if (communicator.rank() != 2) communicator.barrier();
    });
  });
  EXPECT_EQ(message, "rank 2 has ended");
}

TEST(LocalCommunicatorTest, AbortEndsPendingAndLaterCalls) {
  const auto message = error_of([] {
    run_local(3, [](Communicator& communicator) {
      if (communicator.rank() == 1) communicator.abort(3);
      for (int i = 0; i < 2; ++i) EXPECT_THROW(communicator.barrier(), CommError);
    });
  });
  EXPECT_EQ(message, "rank 1 aborted with exit code 3");
}

TEST(LocalCommunicatorTest, DifferentLengthsOfASumAreAnErrorOnEveryRank) {
  std::atomic<int> refused = 0;
  run_local(3, [&](Communicator& communicator) {
    std::vector<std::int64_t> values(communicator.rank() == 1 ? 5 : 4);
    const auto message = error_of([&] { communicator.reduce_sum(values, 0); });
    refused += message.find("reduce_sum: expected") != std::string::npos ? 1 : 0;
  });
  EXPECT_EQ(refused, 3);
}

TEST(LocalCommunicatorTest, DifferentCollectivesOrRootsAreAnErrorOnEveryRank) {
  std::atomic<int> refused = 0;
  run_local(2, [&](Communicator& communicator) {
    std::vector<std::uint8_t> bytes(4);
    const auto barrier_or_broadcast = [&] {
      if (communicator.rank() == 0) communicator.barrier();
      if (communicator.rank() == 1) communicator.broadcast(bytes, 0);
    };
    refused += error_of(barrier_or_broadcast).find("expected ") == 0 ? 1 : 0;
    refused +=
        error_of([&] { communicator.broadcast(bytes, communicator.rank()); }).find("expected ") == 0
            ? 1
            : 0;
  });
  EXPECT_EQ(refused, 4);
}

TEST(LocalCommunicatorTest, RootsAndRankCountsThatDoNotExistAreRefused) {
  EXPECT_THROW(run_local(0, [](Communicator&) {}), ConfigError);
  run_local(2, [](Communicator& communicator) {
    EXPECT_THROW(communicator.gather({}, 2), CommError);
    EXPECT_THROW(communicator.gather({}, -1), CommError);
  });
}

}  // namespace
}  // namespace coppice
