#pragma once
// Memory that the ranks of one node share. Private to comm/.

#include <cstddef>  // for size_t
#include <cstdint>  // for int64_t

#include "comm/raii.h"

namespace coppice {

struct MpiSharedValues {
  MpiLockedWindow window;          // owns the memory
  std::int64_t* values = nullptr;  // on a 64-byte boundary, the same memory in every process
};

// Room for `count` values, unspecified at first. Collective over `node`, ranks that share memory.
MpiSharedValues allocate_shared(MPI_Comm node, std::size_t count);

// Numbers 0, 1, 2, ... handed out to the ranks of a node in the order they ask.
class MpiTickets {
 public:
  explicit MpiTickets(MPI_Comm node);  // collective

  std::int64_t take();  // any rank at any time; waits for nobody
  void restart();       // collective over the node, as Communicator says

 private:
  MPI_Comm node_;  // not owned
  MpiSharedValues counter_;
};

}  // namespace coppice
