#include "launch/shared_step.h"

#include <vector>  // for vector

#include "launch/worker.h"

namespace coppice {

StepCommand receive_command(Communicator& communicator) {
  std::vector<std::uint8_t> bytes;
  communicator.broadcast(bytes, kRoot);
  return decode_command(bytes);
}

void send_command(Communicator& communicator, const StepCommand& command) {
  std::vector<std::uint8_t> bytes = encode_command(command);
  communicator.broadcast(bytes, kRoot);
}

}  // namespace coppice
