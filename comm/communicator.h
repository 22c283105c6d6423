#pragma once
// A fixed group of ranks that moves in step. Every rank calls the same collectives in the same
// order.
//
// Implementations: local (threads of one process) and MPI. One communicator belongs to one thread
// of its rank. All calls block until they are complete and throw CommError when the group is broken
// (a rank left by exception).

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <span>        // for span
#include <string>      // for string
#include <vector>      // for vector

namespace coppice {

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Rank `root`'s bytes on every rank; the length travels with them. At most 2^40 bytes.
  virtual void broadcast(std::vector<std::uint8_t>& bytes, int root) = 0;

  // Adds `values` over the ranks, element by element; the result stands on rank `root`, elsewhere
  // `values` is unspecified afterwards. Another length or root on one rank is a CommError on all.
  // The caller guarantees that sums fit 63 bits (ExactSum does).
  virtual void reduce_sum(std::span<std::int64_t> values, int root) = 0;

  // Every rank's bytes at rank `root`, in rank order; empty elsewhere.
  virtual std::vector<std::vector<std::uint8_t>> gather(std::span<const std::uint8_t> bytes,
                                                        int root) = 0;

  virtual void barrier() = 0;

  // Of every rank the node it is on, the same on all ranks; nodes are numbered from 0 by their
  // lowest ranks. Ranks of one node share memory.
  virtual std::vector<int> node_of_rank() const = 0;

  // No collective: hands out 0, 1, 2, ... to the ranks of this rank's node in the order they ask,
  // for work that the next one to be free takes up. Waits for nobody.
  virtual std::int64_t take_ticket() = 0;

  // Tickets begin with 0 again, on every node. Collective: those taken before any rank called it
  // belong to the old row, those that a rank takes after its call to the new one.
  virtual void restart_tickets() = 0;

  // Tells the other ranks that this one leaves by error: their pending and later calls end. MPI:
  // MPI_Abort.
  virtual void abort(int exit_code) = 0;
};

// Runs body(communicator) on `ranks` threads, rank 0 on the calling one, and joins them. If bodies
// throw, the others are released with CommError and the first error that is not one of those is
// rethrown.
void run_local(int ranks, const std::function<void(Communicator&)>& body);

// How an MPI reduction is done; the sums are the same for all of them.
struct ReduceOptions {
  // Pretend that the ranks sit on this many nodes (round robin), so that tests cover the two-level
  // path.
  int forced_nodes = 0;

  // Longer messages travel in parts (MPI counts in int). Tests make it small; at least 64, at most
  // 2^30.
  std::int64_t max_message_bytes = std::int64_t{1} << 30;
};

// MPI (absent in the minimal build). mpi_initialize() once at the start of a process that was
// launched by mpirun or alone; the returned communicator spans MPI_COMM_WORLD and finalizes MPI
// when destroyed. reduce_sum adds within a node first, then between node leaders.
std::unique_ptr<Communicator> make_mpi_communicator(int* argc, char*** argv,
                                                    const ReduceOptions& options);
std::string mpi_library_version();

}  // namespace coppice
