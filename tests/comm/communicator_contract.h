#pragma once
// What every communicator promises, in closed forms over the ranks. Every rank calls
// check_collectives(); the local and the MPI tests share it.

#include <gtest/gtest.h>

#include <numeric>

#include "comm/communicator.h"

namespace coppice {

// Bytes that differ by rank, position and length.
inline std::vector<std::uint8_t> bytes_of_rank(int rank, std::size_t length) {
  std::vector<std::uint8_t> bytes(length);
  for (std::size_t i = 0; i < length; ++i)
    bytes[i] = static_cast<std::uint8_t>(7 * rank + 3 * static_cast<int>(i % 251));
  return bytes;
}

inline void check_broadcast(Communicator& communicator, int root, std::size_t length) {
  // Other ranks bring something of another length, which must not matter.
  auto bytes =
      bytes_of_rank(communicator.rank(), communicator.rank() == root ? length : length / 2 + 3);
  communicator.broadcast(bytes, root);
  EXPECT_EQ(bytes, bytes_of_rank(root, length)) << "root " << root << " length " << length;
}

// Element i of rank r is (r + 1) * (i - 3) + 2^52 r, so the sum is (i - 3) p (p + 1) / 2 + 2^52 p
// (p - 1) / 2.
inline void check_reduce(Communicator& communicator, int root, std::size_t length) {
  constexpr std::int64_t kLarge = std::int64_t{1} << 52;
  const std::int64_t rank = communicator.rank();
  const std::int64_t p = communicator.size();
  std::vector<std::int64_t> values(length);
  for (std::size_t i = 0; i < length; ++i)
    values[i] = (rank + 1) * (static_cast<std::int64_t>(i) - 3) + kLarge * rank;
  communicator.reduce_sum(values, root);
  if (rank != root) return;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const std::int64_t expected =
        (static_cast<std::int64_t>(i) - 3) * p * (p + 1) / 2 + kLarge * (p * (p - 1) / 2);
    wrong += values[i] == expected ? 0 : 1;
  }
  EXPECT_EQ(wrong, 0U) << "root " << root << " length " << length;
}

inline void check_gather(Communicator& communicator, int root, std::size_t length) {
  const auto of_rank = [&](int rank) {
    return bytes_of_rank(rank, length * static_cast<std::size_t>(rank));
  };
  const auto gathered = communicator.gather(of_rank(communicator.rank()), root);
  if (communicator.rank() != root) {
    EXPECT_TRUE(gathered.empty());
    return;
  }
  ASSERT_EQ(gathered.size(), static_cast<std::size_t>(communicator.size()));
  for (int rank = 0; rank < communicator.size(); ++rank) {
    EXPECT_EQ(gathered[static_cast<std::size_t>(rank)], of_rank(rank))
        << "rank " << rank << " length " << length;
  }
}

// Every collective, every root, sizes that grow and shrink again.
inline void check_collectives(Communicator& communicator) {
  for (int root = 0; root < communicator.size(); ++root) {
    for (const std::size_t length : {0, 1, 7, 8, 9, 63, 64, 65, 1000, 70000, 3}) {
      check_broadcast(communicator, root, length);
      check_reduce(communicator, root, length);
      check_gather(communicator, root, length);
      communicator.barrier();
    }
  }
}

}  // namespace coppice
