#pragma once
// One operation of the engine. Made once; run for every sample without allocating. Internal.

#include <cstddef>  // for byte
#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/step.h"
#include "kernels/integer/integer.h"

namespace coppice::runtime {

struct EngineStep {
  Step step;  // node, tensors, scratch
  void (*run)(const EngineStep&) = nullptr;

  // Instead of run(), of a step that threads can divide: bring(), if there is one, then run_part()
  // of all `units`, rows or panels of the output; parts may run at the same time. A step with
  // strip_rows uses `strip`, scratch_bytes of which every thread has its own.
  void (*bring)(const EngineStep&) = nullptr;
  void (*run_part)(const EngineStep&, std::int64_t begin, std::int64_t end,
                   std::byte* strip) = nullptr;
  std::int64_t units = 0;
  std::int64_t work = 0;  // multiply-adds

  // conv2d and linear. Weights lie in the model that engines share, in the order of their layout:
  // codes if the product is one of integers, values else.
  const kernels::IntegerKernels* kernels = nullptr;
  ProductShape shape;
  const std::int8_t* codes = nullptr;
  const float* values = nullptr;
  std::vector<std::int32_t> bias;     // integer; by channel, with what the kernels read behind
  std::vector<float> multipliers;     // likewise; of fp32: the bias
  std::vector<std::int32_t> offsets;  // of blocks or depthwise taps: from a window's first element
  // Depthwise, of integers: rows of the output that are computed at a time, from a strip of the
  // input.
  std::int64_t strip_rows = 0;
  // A pointwise convolution of integers: rows [begin, end) of the output from their operand. It may
  // be computed together with the depthwise convolution before it, of which then no output is
  // stored.
  void (*multiply_rows)(const EngineStep&, const void* operand, std::int64_t begin,
                        std::int64_t end) = nullptr;
  bool reads_codes = false;        // its operand are codes, not integers about their zero point
  std::vector<EngineStep> before;  // that one, or none
  std::int64_t product_rows = 0;   // then: rows of the output that are multiplied at once
  // Weights of a convolution with groups that is not depthwise: [tap][input channel of the
  // group][channel].
  std::vector<std::int16_t> integer_taps;
  std::vector<float> taps;
};

// Where element (channel c, pixel p) of an image of C channels lies: p * C + c.

// Fills in what a conv2d or linear needs besides memory; shape and weights are there.
void plan_product(EngineStep& step, const Inference& inference);

// Fills in `units` and `work` of a conv2d or linear that can be divided; its tensors are there.
void plan_division(EngineStep& step);

// Of convolutions with groups; called by plan_product(). `image` is the input.
void plan_groups(EngineStep& step);
void plan_depthwise(EngineStep& step, const Shape& image);

// Makes `step`, a pointwise convolution, compute `depthwise` too, which reads `image` and of which
// it is the only reader (Schedule::fused_into).
void join_pointwise(EngineStep& step, EngineStep depthwise, const Shape& image);

// The loops for images, null for an op that has none of its own: the interpreter's serve.
void (*image_loop(Op op))(const EngineStep&);
// Of operations that is_elementwise().
void run_elementwise(const EngineStep& step);
// `is_codes`: the input.
std::int64_t image_scratch_bytes(const Node& node, const Shape& image, bool is_codes);

}  // namespace coppice::runtime
