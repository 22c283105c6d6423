// Sums, relus and normalize of the engine: what the interpreter computes, onto codes with the loops
// of the instruction set.

#include <algorithm>  // for max, min

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"
#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

COPPICE_CLONES
void add(const float* other, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] += other[i];
}

COPPICE_CLONES
void normalize(float mean, float deviation, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = (values[i] - mean) / deviation;
}

COPPICE_CLONES
void rectify(std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = values[i] > 0.0F ? values[i] : 0.0F;
}

void run_loop(const EngineStep& step) {
  const Node& node = *step.step.node;
  float sum[kPiece];
  float other[kPiece];
  for (std::int64_t begin = 0; begin < step.step.output.size; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, step.step.output.size - begin);
    load(step.step.inputs[0], begin, count, sum);
    for (std::size_t k = 1; k < step.step.inputs.size(); ++k) {
      load(step.step.inputs[k], begin, count, other);
      add(other, count, sum);
    }
    if (node.op == Op::normalize) normalize(node.mean, node.deviation, count, sum);
    if (node.op == Op::relu) rectify(count, sum);
    put_values(step, begin, count, sum);
  }
}

}  // namespace

void (*elementwise_loop(Op op))(const EngineStep&) {
  return op == Op::add || op == Op::relu || op == Op::normalize ? run_loop : nullptr;
}

}  // namespace coppice::runtime
