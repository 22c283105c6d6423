// `coppice run`: one experiment, under mpirun, alone, or with threads as ranks.

#include "core/config/config.h"
#include "launch/commands.h"
#include "launch/federation.h"
#include "launch/ranks.h"
#include "launch/terminal.h"

namespace coppice {
namespace {

int run_as_rank(Communicator& communicator, const RunArguments& arguments,
                const ExperimentConfig& config) {
  return run_on_terminal(communicator, config,
                         {.out = arguments.out, .is_resumed = arguments.is_resumed},
                         arguments.is_json);
}

}  // namespace

int run_command(const RunArguments& arguments, const ProcessArguments& process) {
  return with_ranks(arguments.ranks, process, [&](Communicator& communicator) {
    const SharedConfig config = shared_config(
        communicator, [&] { return load_config(arguments.config, arguments.overrides); });
    return config.value ? run_as_rank(communicator, arguments, *config.value) : config.exit_code;
  });
}

int run_config(const RunArguments& arguments, const ExperimentConfig& config,
               const ProcessArguments& process) {
  return with_ranks(arguments.ranks, process, [&](Communicator& communicator) {
    return run_as_rank(communicator, arguments, config);
  });
}

}  // namespace coppice
