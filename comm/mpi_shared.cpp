#include "comm/mpi_shared.h"

#include <atomic>  // for atomic_ref

namespace coppice {
namespace {

constexpr std::size_t kLineBytes = 64;

}  // namespace

MpiSharedValues allocate_shared(MPI_Comm node, std::size_t count) {
  int node_rank = 0;
  COPPICE_MPI(MPI_Comm_rank(node, &node_rank));
  const std::size_t all = count * sizeof(std::int64_t) + kLineBytes;
  const std::size_t mine = node_rank == 0 ? all : 0;
  std::byte* base = nullptr;
  MPI_Win window = MPI_WIN_NULL;
  COPPICE_MPI(MPI_Win_allocate_shared(static_cast<MPI_Aint>(mine), sizeof(std::int64_t),
                                      MPI_INFO_NULL, node, &base, &window));
  COPPICE_MPI(MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN));
  COPPICE_MPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, window));
  MpiSharedValues shared{.window = MpiLockedWindow(window), .values = nullptr};
  MPI_Aint found_bytes = 0;
  int unit = 0;
  COPPICE_MPI(MPI_Win_shared_query(window, 0, &found_bytes, &unit, &base));
  // Memory is mapped by pages, so the first whole cache line is the same one in every process.
  const std::uintptr_t past_line = reinterpret_cast<std::uintptr_t>(base) % kLineBytes;
  shared.values =
      reinterpret_cast<std::int64_t*>(base + (past_line == 0 ? 0 : kLineBytes - past_line));
  return shared;
}

MpiTickets::MpiTickets(MPI_Comm node) : node_(node), counter_(allocate_shared(node, 1)) {
  restart();
}

void MpiTickets::restart() {
  int node_rank = 0;
  COPPICE_MPI(MPI_Comm_rank(node_, &node_rank));
  COPPICE_MPI(MPI_Barrier(node_));
  if (node_rank == 0) std::atomic_ref(*counter_.values).store(0);
  COPPICE_MPI(MPI_Barrier(node_));
}

std::int64_t MpiTickets::take() { return std::atomic_ref(*counter_.values).fetch_add(1); }

}  // namespace coppice
