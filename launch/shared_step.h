#pragma once
// How rank 0 takes the others along, step by step.

#include <exception>  // for exception, throw_with_nested
#include <utility>    // for forward

#include "comm/communicator.h"
#include "core/error.h"
#include "launch/command_frame.h"

namespace coppice {

// A failure while ranks were working together: the others do not know of it and must be aborted.
struct BrokenStep : Error {
  using Error::Error;
};

StepCommand receive_command(Communicator& communicator);
void send_command(Communicator& communicator, const StepCommand& command);

// Runs a step in which all ranks take part; what goes wrong in it is known to this rank alone.
template <typename Step>
auto in_step(Step&& step) {
  try {
    return std::forward<Step>(step)();
  } catch (const std::exception&) {
    std::throw_with_nested(BrokenStep("a step that all ranks share failed"));
  }
}

}  // namespace coppice
