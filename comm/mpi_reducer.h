#pragma once
// Sums int64 vectors over all ranks of a communicator in two steps: within a node through shared
// memory, each rank adding one slice of all of the node's vectors, then between one leader a node
// by MPI_Reduce. Private to comm/.
//
// Collective: constructed, called and destroyed by all ranks alike, by one thread each.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "comm/communicator.h"
#include "comm/mpi_shared.h"
#include "comm/raii.h"

namespace coppice {

class MpiReducer {
 public:
  MpiReducer(MPI_Comm world, const ReduceOptions& options);

  // Adds over the ranks; the sum replaces `values` on `root`. Lengths must be equal.
  void reduce_sum(std::span<std::int64_t> values, int root);

  MPI_Comm node() const { return node_.get(); }  // the ranks that share memory with this one
  // Of every rank its node; numbered from 0 by their lowest ranks.
  std::vector<int> node_of_rank() const;

 private:
  bool is_leader() const { return node_rank_ == 0; }
  int leader_of(int rank) const { return leader_of_rank_[static_cast<std::size_t>(rank)]; }

  // Makes room for `count` values of each rank of the node, keeping what there is if it suffices.
  void reserve(std::size_t count);
  std::span<std::int64_t> segment(int node_rank, std::size_t count) const;
  void add_slice(std::size_t count) const;
  void reduce_between_leaders(std::span<std::int64_t> values, int root_leader) const;
  void reduce_chunk(std::span<std::int64_t> values, int root) const;
  void fence() const;

  MPI_Comm world_;  // owned by the communicator that owns this
  int rank_ = 0;
  MpiComm node_;  // the ranks that share memory
  int node_rank_ = 0;
  int node_size_ = 1;
  MpiComm leaders_;  // null on ranks that lead no node
  int leader_count_ = 1;
  std::vector<int> leader_of_rank_;  // world rank -> world rank of its node's leader
  std::vector<int> leader_index_;    // world rank -> rank in leaders_, for leaders
  std::size_t chunk_values_ = 0;     // at most this many at a time
  MpiSharedValues segments_;         // node_size_ of them, each padded to 64 bytes
  std::size_t capacity_values_ = 0;  // of one segment
};

}  // namespace coppice
