#pragma once
// What rank 0 tells the other ranks before each step of a run. One broadcast a step.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

enum class StepKind : std::uint8_t { kTrain = 1, kEvaluate = 2, kStop = 3, kScore = 4 };

struct StepCommand {
  StepKind kind = StepKind::kStop;
  int exit_code = 0;                           // kStop
  std::vector<std::uint8_t> task_frame = {};   // kTrain
  std::vector<std::uint8_t> model_frame = {};  // kTrain, kEvaluate, kScore
  std::int64_t model_bytes = 0;  // kTrain: of it, that each client is counted as receiving
  std::vector<std::uint8_t> residual_frame = {};   // kTrain: empty without error feedback
  std::vector<std::uint8_t> cpk = {};              // kScore: the model as it is shipped
  std::vector<std::uint8_t> teacher_frame = {};    // kTrain: empty if it is the last one
  std::vector<std::uint8_t> reference_frame = {};  // kTrain: of a gate; empty if it is the last one
  std::vector<std::vector<std::int64_t>> assignments = {};  // kTrain: clients a node
};

std::vector<std::uint8_t> encode_command(const StepCommand& command);
StepCommand decode_command(std::span<const std::uint8_t> bytes);  // throws WireError

}  // namespace coppice
