// linear on vectors: a product whose positions are chunks.

#include <algorithm>  // for copy_n, min

#include "models/resident/step.h"

namespace coppice::resident {
namespace {

// A matrix above this size is copied piece by piece for the gradient by its input: a tile takes a
// few neighbours of a row from every row, which are a cache line and a page each.
constexpr std::int64_t kSmallMatrix = std::int64_t{1} << 16U;
constexpr std::int64_t kColumns = 48;

class Linear final : public Step {
 public:
  explicit Linear(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        has_relu_(in.has_relu),
        weight_(in.parameter_offset(0)),
        bias_(in.node.attributes.bias ? in.parameter_offset(1) : -1),
        lanes_(in.lanes),
        scratch_(in.scratch) {}

  void forward(const Block& block) override {
    block.kernels.product({.in = input_.tensor.values,
                           .weights = block.weights + weight_,
                           .bias = bias_ < 0 ? nullptr : block.weights + bias_,
                           .out = output_.values,
                           .in_channels = input_.tensor.elements,
                           .out_channels = output_.elements,
                           .y = {},
                           .x = {.outputs = block.chunks, .inputs = block.chunks},
                           .in_strides = strides(input_.tensor),
                           .out_strides = strides(output_),
                           .weight_out = input_.tensor.elements,
                           .weight_in = 1,
                           .has_relu = has_relu_});
  }

  void backward(const Block& block) override {
    if (has_relu_) rectify_own_gradient(block, output_);
    if (bias_ >= 0) {
      float* bias = block.gradient_at(bias_, output_.elements);
      for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
        block.kernels.channel_sums(output_.gradient + chunk * output_.elements * lanes_,
                                   output_.elements, 1, bias);
      }
    }
    add_weight_gradient(block);
    if (input_.tensor.gradient != nullptr) write_input_gradient(block);
  }

 private:
  kernels::ImageStrides strides(const Tensor& tensor) const {
    return {.channel = lanes_, .row = 0, .column = tensor.elements * lanes_};
  }

  void add_weight_gradient(const Block& block) {
    const std::int64_t features = input_.tensor.elements;
    const std::int64_t pitch = (features + 2 * lanes_ - 1) / (2 * lanes_) * (2 * lanes_);
    float* rows = scratch_->get(block.chunks * lanes_ * pitch);
    for (std::int64_t first = 0; first < block.samples; first += lanes_) {
      block.kernels.to_rows(input_.tensor.values + first * features, features,
                            std::min(lanes_, block.samples - first), rows + first * pitch, pitch);
    }
    block.kernels.rows_weight_gradient({.in_rows = rows,
                                        .row_pitch = pitch,
                                        .out_gradient = output_.gradient,
                                        .gradient = block.gradient + weight_,
                                        .samples = block.samples,
                                        .in_channels = features,
                                        .out_channels = output_.elements,
                                        .accumulates = !block.begins_gradient});
  }

  void write_input_gradient(const Block& block) {
    const std::int64_t features = input_.tensor.elements;
    const std::int64_t outputs = output_.elements;
    const float* weights = block.weights + weight_;
    if (features * outputs <= kSmallMatrix) {
      write_input_gradient(block, weights, {.first = 0, .count = features}, features);
      return;
    }
    float* packed = scratch_->get(kColumns * outputs);
    for (std::int64_t first = 0; first < features; first += kColumns) {
      const std::int64_t count = std::min(kColumns, features - first);
      for (std::int64_t o = 0; o < outputs; ++o)
        std::copy_n(weights + o * features + first, count, packed + o * kColumns);
      write_input_gradient(block, packed, {.first = first, .count = count}, kColumns);
    }
  }

  struct Columns {
    std::int64_t first;
    std::int64_t count;
  };

  // Of some features, whose weights stand side by side and those of the next output `output_step`
  // floats on.
  void write_input_gradient(const Block& block, const float* weights, Columns columns,
                            std::int64_t output_step) const {
    block.kernels.product({.in = output_.gradient,
                           .weights = weights,
                           .out = input_.tensor.gradient + columns.first * lanes_,
                           .in_channels = output_.elements,
                           .out_channels = columns.count,
                           .y = {},
                           .x = {.outputs = block.chunks, .inputs = block.chunks},
                           .in_strides = strides(output_),
                           .out_strides = strides(input_.tensor),
                           .weight_out = 1,
                           .weight_in = output_step,
                           .accumulates = input_.accumulates});
  }

  Input input_;
  Tensor output_;
  bool has_relu_;
  std::int64_t weight_;
  std::int64_t bias_;
  std::int64_t lanes_;
  Scratch* scratch_;
};

}  // namespace

std::unique_ptr<Step> make_linear_step(const StepInputs& inputs) {
  return std::make_unique<Linear>(inputs);
}

}  // namespace coppice::resident
