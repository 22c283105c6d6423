#pragma once
// One operation of the engine. Made once; run for every sample without allocating. Internal.

#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/step.h"
#include "kernels/integer/integer.h"

namespace coppice::runtime {

struct EngineStep {
  Step step;  // node, tensors, scratch
  void (*run)(const EngineStep&) = nullptr;

  // conv2d and linear.
  const kernels::IntegerKernels* kernels = nullptr;
  std::vector<std::int8_t> packed;  // integer, in the kernels' panels
  std::vector<std::int32_t> bias;   // integer; both to the end of the last panel
  std::vector<float> multipliers;   // of fp32: the bias
  // Weights of a convolution with groups: [tap][input channel of the group][channel].
  std::vector<std::int16_t> taps;  // integer
  // The same in fp32; of a convolution without groups in panels; of a linear [channel][row].
  std::vector<float> values;
};

// Where element (channel c, pixel p) of an image of C channels lies: p * C + c. Order of a tensor:
// the image {C, H, W} whose elements it holds like that; empty for others.
using Order = Shape;

// Fills in what a conv2d or linear needs besides memory. `order` is that of a linear's input.
void prepare_convolution(EngineStep& step, const Inference& inference);
void prepare_matrix(EngineStep& step, const Inference& inference, const Order& order);

// The loops for images, null for an op that has none of its own: the interpreter's serve.
void (*image_loop(Op op))(const EngineStep&);
std::int64_t image_scratch_bytes(const Node& node, const Shape& image);

}  // namespace coppice::runtime
