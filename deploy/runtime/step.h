#pragma once
// One operation of the interpreter with everything it needs at hand. Made once; run for every
// sample without allocating. Internal.

#include <cstddef>  // for byte
#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "deploy/runtime/program.h"
#include "deploy/runtime/tensor.h"

namespace coppice::runtime {

struct Step {
  const Node* node = nullptr;
  void (*run)(const Step&) = nullptr;
  std::vector<Tensor> inputs;
  Tensor output;

  // conv2d and linear. Multipliers turn an accumulator into a code or a value; they are there if it
  // is an integer. Weights: the values of codes that the interpreter multiplies in fp32.
  std::vector<float> multipliers;
  std::vector<float> weights;
  int low_code = 0;  // of saturation, where an activation is folded in
  int high_code = 255;
  // One patch of `row` elements and one sum a channel, in the arena: int16 and int32, or floats.
  std::int64_t row = 0;
  std::int64_t scratch_bytes = 0;
  std::byte* scratch = nullptr;
};

// The operation's loop; null for the input and for ops that change nothing
// (flatten, dropout).
using Run = void (*)(const Step&);
Run run_of(Op op);

// Fills in what a conv2d or linear needs besides its tensors. `relu` is the activation that is
// folded into it, or null; `output` is the grid of the result, or null.
void prepare_product(Step& step, bool is_integer, const Grid* input, const Grid* output,
                     const Node* relu, std::int64_t row);

// Saturation to the codes that `relu` leaves on its grid.
void fold_relu(Step& step, const Node& relu, const Grid& output);

// Of an elementwise operation: elements [begin, begin + count) of its output before they are put on
// a grid, at most kPiece.
void elementwise_values(const Step& step, std::int64_t begin, std::int64_t count, float* values);

// Operations, one a function. Elementwise ones may have their output where their first input is.
void run_conv2d(const Step& step);
void run_linear(const Step& step);
void run_elementwise(const Step& step);
void run_norm(const Step& step);
void run_pool(const Step& step);
void run_global_avg_pool(const Step& step);
void run_concat(const Step& step);
void run_slice(const Step& step);
void run_last_step(const Step& step);
void run_channel_scale(const Step& step);

}  // namespace coppice::runtime
