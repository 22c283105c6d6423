// Elementwise operations of the engine: the interpreter's values, put on a grid by the loops of the
// instruction set.

#include <algorithm>  // for min

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"

namespace coppice::runtime {

void run_elementwise(const EngineStep& step) {
  float values[kPiece];
  for (std::int64_t begin = 0; begin < step.step.output.size; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, step.step.output.size - begin);
    elementwise_values(step.step, begin, count, values);
    put_values(step, begin, count, values);
  }
}

}  // namespace coppice::runtime
