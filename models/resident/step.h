#pragma once
// One operation of a resident plan: forward and backward of a block, a few chunks of samples, over
// memory that the plan laid out (kernels/lanes/lanes.h says how). Internal to models/resident.

#include <algorithm>   // for fill_n
#include <cstddef>     // for size_t
#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <span>        // for span
#include <string>      // for string
#include <vector>      // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "kernels/lanes/lanes.h"
#include "models/dropout_key.h"
#include "models/fake_quant.h"
#include "models/local_optimizer.h"

namespace coppice::resident {

// What flows between steps: [chunk][elements][lanes], or images with channels innermost,
// [sample][rows][columns][channels]. The plan owns the memory.
struct Tensor {
  float* values = nullptr;
  float* gradient = nullptr;  // null: nothing above it is trained
  // Not null: a bit an element says where the ReLU that its step did as well lets the gradient
  // pass, and the values may be gone by then.
  std::uint32_t* signs = nullptr;
  std::int64_t elements = 0;  // of one sample
  bool has_channels_innermost = false;
};

struct Input {
  Tensor tensor;
  bool accumulates = false;  // another step has written its gradient before this one
};

// Steps the weights [first, first + gradient.size()), whose gradient this is.
using EarlyUpdate = std::function<void(std::int64_t first, std::span<const float> gradient)>;

// One block on its way through the plan.
struct Block {
  const kernels::LaneKernels& kernels;
  const float* rows = nullptr;      // [samples][elements of the input]
  const float* weights = nullptr;   // parameter_count floats, on their grids if they have some
  float* gradient = nullptr;        // from gradient_begin to the arena's end; null: no backward
  std::int64_t gradient_begin = 0;  // the element that gradient[0] is of
  bool begins_gradient = true;      // the batch's first block: what stands in `gradient` is old
  // Not null if this block is all of its batch and nothing but its gradient decides how a weight
  // moves. A step with an early_part() then calls this for all of it instead of writing to
  // `gradient`, after its last use of those weights.
  const EarlyUpdate* update = nullptr;
  std::int64_t samples = 0;
  std::int64_t chunks = 0;              // of samples, the last may be partial
  std::int64_t first_sample = 0;        // of the batch
  const DropoutKey* dropout = nullptr;  // null: evaluation

  // That hold a tensor's values; the end of the last one may be nobody's.
  std::int64_t registers(const Tensor& tensor) const {
    if (!tensor.has_channels_innermost) return chunks * tensor.elements;
    return (samples * tensor.elements + kernels.lanes - 1) / kernels.lanes;
  }

  // Where to add the gradient of `count` parameters: zeros if this block begins it.
  float* gradient_at(std::int64_t offset, std::int64_t count) const {
    float* at = gradient + (offset - gradient_begin);
    if (begins_gradient) std::fill_n(at, count, 0.0F);
    return at;
  }
};

// Memory that a step needs while it runs, and no longer.
class Scratch {
 public:
  // At least `floats`, with whatever the last user left, all finite if that was.
  float* get(std::int64_t floats) {
    if (buffer_.size() < static_cast<std::size_t>(floats)) {
      buffer_ = {};  // before the next one comes
      buffer_ = AlignedBuffer(static_cast<std::size_t>(floats));
    }
    return buffer_.data();
  }

 private:
  AlignedBuffer buffer_;
};

// Of a block, beside the plan's arena.
struct StepMemory {
  std::int64_t held_bytes = 0;      // from the forward to the backward pass
  std::int64_t scratch_floats = 0;  // of the memory that all steps share
};

class Step {
 public:
  virtual ~Step() = default;
  virtual void forward(const Block& block) = 0;
  // Reads the gradient of the output, which it may overwrite; begins the parameters' gradients or
  // adds to them; writes those of the inputs that have one, or adds to them.
  virtual void backward(const Block& block) = 0;
  // The parameters that it can update early: a matrix so large that its gradient had better not go
  // through memory.
  virtual ParameterRange early_part() const { return {}; }
  // What a training step on blocks of at most `samples` takes.
  virtual StepMemory memory(std::int64_t samples) const {
    static_cast<void>(samples);
    return {};
  }
};

// What a step is made of. Tensors stay where they are for the plan's life.
struct StepInputs {
  const Graph& graph;
  const Node& node;
  std::vector<Input> inputs;
  Tensor output;
  bool has_relu = false;          // the node's only reader is a ReLU that this step does as well
  bool has_pool = false;          // and a max_pool2d over 2 x 2 behind that
  bool reads_rows = false;        // its input's values are Block::rows too, as they came
  std::uint32_t* bits = nullptr;  // where the step keeps what its backward reads in place of values
  const kernels::LaneKernels* kernels = nullptr;
  std::int64_t lanes = 0;
  Scratch* scratch = nullptr;
  std::int64_t dropout_ordinal = 0;
  std::int64_t dropout_count = 0;

  std::int64_t parameter_offset(std::size_t i) const {
    const auto index = static_cast<std::size_t>(node.parameters[i]);
    return graph.parameters()[index].offset;
  }
  const Shape& input_shape(std::size_t i = 0) const {
    return graph.nodes()[static_cast<std::size_t>(node.inputs[i])].shape;
  }
};

// Takes from the output's gradient what a ReLU that the step did as well does not pass on.
void rectify_own_gradient(const Block& block, const Tensor& output);

// Whether a step can do a ReLU behind the operation.
bool can_have_relu(OpKind op);

// Whether the step of a node whose images' channels are innermost can be made; `reads_data`: its
// input is the samples as they came, or they normalized, which need no gradient.
bool can_have_channels_innermost(const Graph& graph, const Node& node, bool reads_data,
                                 std::int64_t lanes);

// Whether a convolution's step with channels innermost can do the max_pool2d `pool` as well.
bool can_have_pool(const Graph& graph, const Node& convolution, const Node& pool,
                   std::int64_t lanes);

// Empty if make_step() can, else what of the node it cannot do.
std::string unsupported(const Graph& graph, const Node& node);

std::unique_ptr<Step> make_step(const StepInputs& inputs);

// The grid of a node's output; `inputs.inputs` is that output before, `inputs.output` after.
std::unique_ptr<Step> make_grid_step(const StepInputs& inputs, const NodeGrid& grid);

// From channels innermost to chunks of lanes; a sample's image is `shape`.
std::unique_ptr<Step> make_to_lanes_step(const StepInputs& inputs, const Shape& shape);

// A convolution and the max pool that alone reads it, in lanes of samples, for blocks of at most
// `chunks`; the tensor between them has room for one chunk, their bits begin a word a chunk.
std::unique_ptr<Step> make_pooled_convolution_step(const StepInputs& convolution,
                                                   const StepInputs& pool, std::int64_t chunks);
// Of a node that the step before does as well.
std::unique_ptr<Step> make_done_step();

std::unique_ptr<Step> make_input_step(const StepInputs& inputs);
std::unique_ptr<Step> make_normalize_step(const StepInputs& inputs);
std::unique_ptr<Step> make_convolution_step(const StepInputs& inputs);
std::unique_ptr<Step> make_channel_convolution_step(const StepInputs& inputs);
std::unique_ptr<Step> make_linear_step(const StepInputs& inputs);
std::unique_ptr<Step> make_rectifier_step(const StepInputs& inputs);
std::unique_ptr<Step> make_pool_step(const StepInputs& inputs);
std::unique_ptr<Step> make_group_norm_step(const StepInputs& inputs);
std::unique_ptr<Step> make_add_step(const StepInputs& inputs);
std::unique_ptr<Step> make_concat_step(const StepInputs& inputs);
std::unique_ptr<Step> make_dropout_step(const StepInputs& inputs);

}  // namespace coppice::resident
