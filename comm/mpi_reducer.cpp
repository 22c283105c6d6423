#include "comm/mpi_reducer.h"

#include <algorithm>  // for clamp, copy, max, min
#include <array>      // for array

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::size_t kLineValues =
    64 / sizeof(std::int64_t);  // a cache line: ranks never write the same one

// Shared memory of a node in all, whatever the model's size: containers often have 64 MiB of it.
constexpr std::size_t kWindowValues = (std::size_t{32} << 20U) / sizeof(std::int64_t);

std::size_t padded(std::size_t count) {
  return (count + kLineValues - 1) / kLineValues * kLineValues;
}

MpiComm split(MPI_Comm from, int color, int key) {
  MpiComm part;
  COPPICE_MPI(MPI_Comm_split(from, color, key, part.receive()));
  return part;
}

// The ranks that share memory with this one, or their share of `forced_nodes` pretended nodes.
MpiComm node_of(MPI_Comm world, int rank, int forced_nodes) {
  MpiComm node;
  COPPICE_MPI(
      MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, node.receive()));
  if (forced_nodes > 0) return split(node.get(), rank % forced_nodes, rank);
  return node;
}

int rank_in(MPI_Comm comm) {
  int rank = 0;
  COPPICE_MPI(MPI_Comm_rank(comm, &rank));
  return rank;
}

int size_of(MPI_Comm comm) {
  int size = 0;
  COPPICE_MPI(MPI_Comm_size(comm, &size));
  return size;
}

// All ranks throw, or none does, so that nobody is left behind in the reduction.
void expect_same_call(MPI_Comm world, std::size_t count, int root) {
  const auto n = static_cast<std::int64_t>(count);
  const std::array<std::int64_t, 4> mine{n, -n, root, -root};
  std::array<std::int64_t, 4> largest{};
  COPPICE_MPI(MPI_Allreduce(mine.data(), largest.data(), 4, MPI_INT64_T, MPI_MAX, world));
  if (largest[0] != -largest[1]) {
    throw CommError(text("reduce_sum: expected the same number of values on every rank, got from ",
                         -largest[1], " to ", largest[0]));
  }
  if (largest[2] != -largest[3] || root < 0 || root >= size_of(world)) {
    throw CommError(text("reduce_sum: expected one root on every rank, from 0 to ",
                         size_of(world) - 1, ", got from ", -largest[3], " to ", largest[2]));
  }
}

}  // namespace

MpiReducer::MpiReducer(MPI_Comm world, const ReduceOptions& options)
    : world_(world), rank_(rank_in(world)) {
  node_ = node_of(world, rank_, options.forced_nodes);
  node_rank_ = rank_in(node_.get());
  node_size_ = size_of(node_.get());
  leaders_ = split(world, is_leader() ? 0 : MPI_UNDEFINED, rank_);

  int leader = rank_;
  COPPICE_MPI(MPI_Bcast(&leader, 1, MPI_INT, 0, node_.get()));
  const auto ranks = static_cast<std::size_t>(size_of(world));
  leader_of_rank_.resize(ranks);
  COPPICE_MPI(MPI_Allgather(&leader, 1, MPI_INT, leader_of_rank_.data(), 1, MPI_INT, world));
  leader_index_.assign(ranks, -1);
  leader_count_ = 0;
  for (std::size_t i = 0; i < ranks; ++i) {
    if (leader_of(static_cast<int>(i)) == static_cast<int>(i)) leader_index_[i] = leader_count_++;
  }

  // Nodes may hold different numbers of ranks; leaders must still exchange equal parts, so the
  // smallest share decides.
  std::uint64_t fitting =
      static_cast<std::uint64_t>(options.max_message_bytes) / sizeof(std::int64_t);
  if (node_size_ > 1)
    fitting = std::min(fitting, kWindowValues / static_cast<std::uint64_t>(node_size_));
  COPPICE_MPI(MPI_Allreduce(MPI_IN_PLACE, &fitting, 1, MPI_UINT64_T, MPI_MIN, world));
  chunk_values_ = std::max<std::size_t>(fitting / kLineValues, 1) * kLineValues;
}

std::vector<int> MpiReducer::node_of_rank() const {
  std::vector<int> nodes;
  for (const int leader : leader_of_rank_)
    nodes.push_back(leader_index_[static_cast<std::size_t>(leader)]);
  return nodes;
}

void MpiReducer::reduce_sum(std::span<std::int64_t> values, int root) {
  expect_same_call(world_, values.size(), root);
  if (node_size_ > 1) reserve(std::min(values.size(), chunk_values_));
  for (std::size_t begin = 0; begin < values.size(); begin += chunk_values_) {
    reduce_chunk(values.subspan(begin, std::min(chunk_values_, values.size() - begin)), root);
  }
}

void MpiReducer::reserve(std::size_t count) {
  if (count <= capacity_values_) return;
  // Doubling bounds the number of windows a growing model makes.
  capacity_values_ = padded(std::clamp(2 * capacity_values_, count, chunk_values_));
  segments_.window.reset();  // the old ones go before the new ones come
  segments_ = allocate_shared(node_.get(), capacity_values_ * static_cast<std::size_t>(node_size_));
}

std::span<std::int64_t> MpiReducer::segment(int node_rank, std::size_t count) const {
  return {segments_.values + static_cast<std::size_t>(node_rank) * capacity_values_, count};
}

// What a rank of the node wrote before is what the others read after.
void MpiReducer::fence() const {
  COPPICE_MPI(MPI_Win_sync(segments_.window.get()));
  COPPICE_MPI(MPI_Barrier(node_.get()));
  COPPICE_MPI(MPI_Win_sync(segments_.window.get()));
}

// Adds this rank's slice of all segments into the leader's.
void MpiReducer::add_slice(std::size_t count) const {
  const auto ranks = static_cast<std::size_t>(node_size_);
  const std::size_t slice = padded((count + ranks - 1) / ranks);
  const std::size_t begin = std::min(count, slice * static_cast<std::size_t>(node_rank_));
  const std::size_t end = std::min(count, begin + slice);
  const std::span<std::int64_t> sum = segment(0, count);
  for (int other = 1; other < node_size_; ++other) {
    const std::span<const std::int64_t> theirs = segment(other, count);
    for (std::size_t i = begin; i < end; ++i) sum[i] += theirs[i];
  }
}

// In place; only the leader of the root's node has the sum afterwards.
void MpiReducer::reduce_between_leaders(std::span<std::int64_t> values, int root_leader) const {
  if (leader_count_ == 1) return;
  const bool is_root = rank_ == root_leader;
  const int root = leader_index_[static_cast<std::size_t>(root_leader)];
  COPPICE_MPI(MPI_Reduce(is_root ? MPI_IN_PLACE : values.data(), is_root ? values.data() : nullptr,
                         static_cast<int>(values.size()), MPI_INT64_T, MPI_SUM, root,
                         leaders_.get()));
}

void MpiReducer::reduce_chunk(std::span<std::int64_t> values, int root) const {
  const int root_leader = leader_of(root);
  if (node_size_ == 1) {
    reduce_between_leaders(values, root_leader);
    return;
  }
  const std::span<std::int64_t> sum = segment(0, values.size());
  std::ranges::copy(values, segment(node_rank_, values.size()).begin());
  fence();
  add_slice(values.size());
  fence();
  // From here on only leaders touch their segment, until they are back in this function for the
  // next chunk; the one other reader is a root that leads no node, for which its node waits.
  if (is_leader()) reduce_between_leaders(sum, root_leader);
  const bool is_roots_node = leader_of(rank_) == root_leader;
  if (is_roots_node && root != root_leader) fence();
  if (rank_ == root) std::ranges::copy(sum, values.begin());
  if (is_roots_node && root != root_leader) fence();
}

}  // namespace coppice
