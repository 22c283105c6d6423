#pragma once
// What a step of the engine says to the kernels. Internal.

#include <cstdint>  // for int64_t

#include "deploy/runtime/engine_step.h"
#include "kernels/integer/integer.h"

namespace coppice::runtime {

// All but the geometry, the input and where the output goes.
inline void describe(kernels::Product& task, const EngineStep& step) {
  task.channels = step.step.node->out;
  task.zero_point = step.step.output.grid.zero_point;
  task.low_code = step.step.low_code;
  task.high_code = step.step.high_code;
}

inline void describe(kernels::IntegerProduct& task, const EngineStep& step) {
  describe(static_cast<kernels::Product&>(task), step);
  task.bits = step.step.node->weights.bits;
  task.weights = step.codes;
  task.bias = step.bias.data();
  task.multipliers = step.multipliers.data();
}

inline void describe(kernels::FloatProduct& task, const EngineStep& step) {
  describe(static_cast<kernels::Product&>(task), step);
  task.weights = step.values;
  task.bias = step.multipliers.data();
  task.scale = step.step.output.grid.scale;
}

// The output of the next products: elements from `at` on.
inline void write_to(kernels::Product& task, const Tensor& out, std::int64_t at) {
  if (out.is_codes()) {
    task.codes = out.codes + at;
  } else {
    task.values = out.values + at;
  }
}

// Values as elements of the output from `at` on.
inline void put_values(const EngineStep& step, std::int64_t at, std::int64_t count,
                       const float* values) {
  const Tensor& out = step.step.output;
  if (!out.is_codes()) return store(out, at, count, values);
  step.kernels->quantize({.values = values,
                          .count = count,
                          .scale = out.grid.scale,
                          .zero_point = out.grid.zero_point,
                          .low_code = step.step.low_code,
                          .high_code = step.step.high_code,
                          .codes = out.codes + at});
}

}  // namespace coppice::runtime
