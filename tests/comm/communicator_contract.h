#pragma once
// What every communicator promises, in closed forms over the ranks. Every rank calls
// check_collectives(); the local and the MPI tests share it.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
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

// Every ticket of a node is drawn by one of its ranks, and each rank's grow.
inline void check_tickets(Communicator& communicator, std::int64_t draws) {
  std::vector<std::uint8_t> mine;
  std::int64_t last = -1;
  for (std::int64_t i = 0; i < draws; ++i) {
    const std::int64_t ticket = communicator.take_ticket();
    EXPECT_GT(ticket, last);
    last = ticket;
    for (int shift = 0; shift < 64; shift += 8)
      mine.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(ticket) >> shift));
  }
  const auto gathered = communicator.gather(mine, 0);
  communicator.barrier();  // nobody draws for the next check before all have drawn for this one
  const std::vector<int> nodes = communicator.node_of_rank();
  ASSERT_EQ(nodes.size(), static_cast<std::size_t>(communicator.size()));
  EXPECT_EQ(nodes[0], 0);
  std::map<int, std::vector<std::uint64_t>> drawn;
  for (std::size_t rank = 0; rank < gathered.size(); ++rank) {
    for (std::size_t at = 0; at < gathered[rank].size(); at += 8) {
      std::uint64_t ticket = 0;
      for (std::size_t byte = 0; byte < 8; ++byte)
        ticket |= std::uint64_t{gathered[rank][at + byte]} << (8 * byte);
      drawn[nodes[rank]].push_back(ticket);
    }
  }
  for (auto& [node, tickets] : drawn) {
    std::ranges::sort(tickets);
    EXPECT_EQ(std::ssize(tickets), draws * std::ranges::count(nodes, node));
    for (std::size_t i = 1; i < tickets.size(); ++i) EXPECT_EQ(tickets[i], tickets[i - 1] + 1);
  }
}

// Whatever was drawn before, the first tickets after are the lowest.
inline void check_restarted_tickets(Communicator& communicator) {
  for (int i = 0; i <= communicator.rank(); ++i) communicator.take_ticket();
  communicator.restart_tickets();
  const std::vector<int> nodes = communicator.node_of_rank();
  const auto ranks_here =
      std::ranges::count(nodes, nodes[static_cast<std::size_t>(communicator.rank())]);
  EXPECT_LT(communicator.take_ticket(), ranks_here);
  communicator.restart_tickets();
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
  for (const std::int64_t draws : {1, 0, 200}) check_tickets(communicator, draws);
  check_restarted_tickets(communicator);
}

}  // namespace coppice
