#pragma once
// How a command gets its ranks: the processes that mpirun started, this process alone, or threads
// as ranks.

#include <functional>  // for function
#include <optional>    // for optional

#include "comm/communicator.h"
#include "core/experiment.h"
#include "launch/commands.h"

namespace coppice {

// Runs `body` on this process's MPI rank, or on `threads` threads (1 or more) without MPI, and
// returns the exit code of this process: what body returned here, on threads what rank 0's did. A
// BrokenStep is reported on stderr and the other ranks are aborted; other errors are thrown, the
// body having told the other ranks.
int with_ranks(int threads, const ProcessArguments& process,
               const std::function<int(Communicator&)>& body);

struct SharedConfig {
  std::optional<ExperimentConfig> value;
  int exit_code = 0;  // without a value, on ranks other than 0: what rank 0 failed with
};

// Rank 0 loads the config, the others get it from there. If `load` throws, rank 0 throws on.
SharedConfig shared_config(Communicator& communicator,
                           const std::function<ExperimentConfig()>& load);

}  // namespace coppice
