#include "launch/command_frame.h"

#include "comm/wire.h"
#include "core/error.h"

namespace coppice {

std::vector<std::uint8_t> encode_command(const StepCommand& command) {
  std::vector<std::uint8_t> bytes;
  WireWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(command.kind));
  out.i64(command.exit_code);
  out.bytes(command.task_frame);
  out.bytes(command.model_frame);
  out.i64(command.model_bytes);
  out.bytes(command.residual_frame);
  out.bytes(command.teacher_frame);
  out.bytes(command.reference_frame);
  out.bytes(command.cpk);
  out.u64(command.assignments.size());
  for (const auto& clients : command.assignments) out.int64s(clients);
  return bytes;
}

StepCommand decode_command(std::span<const std::uint8_t> bytes) {
  WireReader in(bytes, "step");
  StepCommand command;
  const std::uint8_t kind = in.u8();
  if (kind < 1 || kind > 4) throw WireError("step: unknown kind");
  command.kind = static_cast<StepKind>(kind);
  command.exit_code = static_cast<int>(in.i64());
  command.task_frame = in.bytes();
  command.model_frame = in.bytes();
  command.model_bytes = in.i64();
  command.residual_frame = in.bytes();
  command.teacher_frame = in.bytes();
  command.reference_frame = in.bytes();
  command.cpk = in.bytes();
  const std::uint64_t ranks = in.u64();
  if (ranks > in.left() / 8) throw WireError("step: more ranks than bytes");
  for (std::uint64_t i = 0; i < ranks; ++i) command.assignments.push_back(in.int64s());
  in.expect_end();
  return command;
}

}  // namespace coppice
