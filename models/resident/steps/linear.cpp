// linear on vectors: a product whose positions are chunks.

#include <algorithm>  // for copy_n, min

#include "models/resident/step.h"

namespace coppice::resident {
namespace {

// A matrix above this size is gone through in pieces of some columns: its rows are pages apart, and
// the gradient by the input, that of the weights and their update share each piece while it is in
// the cache.
constexpr std::int64_t kSmallMatrix = std::int64_t{1} << 16U;
constexpr std::int64_t kColumns = 192;
constexpr std::int64_t kPackedColumns = 48;  // copied to lie together, in the first cache

class Linear final : public Step {
 public:
  explicit Linear(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        has_relu_(in.has_relu),
        reads_rows_(in.reads_rows),
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
    const std::int64_t features = input_.tensor.elements;
    const std::int64_t outputs = output_.elements;
    const std::int64_t pitch = row_pitch();
    const bool has_rows = reads_rows_ && pitch == features;
    const std::int64_t piece = is_large() ? kColumns : features;
    const std::int64_t lanes = block.chunks * lanes_;
    float* rows = scratch_->get(scratch_floats(block.chunks));
    float* out_rows = rows + (has_rows ? 0 : lanes * pitch);
    float* packed = out_rows + lanes * outputs;
    float* gradient = packed + outputs * kPackedColumns;
    for (std::int64_t first = 0; first < block.samples; first += lanes_) {
      const std::int64_t samples = std::min(lanes_, block.samples - first);
      if (!has_rows) {
        block.kernels.to_rows(input_.tensor.values + first * features, features, samples,
                              rows + first * pitch, pitch);
      }
      block.kernels.to_rows(output_.gradient + first * outputs, outputs, samples,
                            out_rows + first * outputs, outputs);
    }
    for (std::int64_t first = 0; first < features; first += piece) {
      const Columns columns{.first = first, .count = std::min(piece, features - first)};
      if (input_.tensor.gradient != nullptr) write_input_gradient(block, columns, packed);
      const kernels::RowsWeightGradient task{.in_rows = (has_rows ? block.rows : rows) + first,
                                             .row_pitch = pitch,
                                             .out_rows = out_rows,
                                             .samples = block.samples,
                                             .in_channels = columns.count,
                                             .out_channels = outputs};
      write_weight_gradient(block, task, columns, gradient);
    }
  }

  StepMemory memory(std::int64_t samples) const override {
    if (output_.gradient == nullptr) return {};
    return {.scratch_floats = scratch_floats((samples + lanes_ - 1) / lanes_)};
  }
  ParameterRange early_part() const override {
    if (!is_large()) return {};
    return {weight_, weight_ + input_.tensor.elements * output_.elements};
  }

 private:
  struct Columns {
    std::int64_t first;
    std::int64_t count;
  };

  std::int64_t row_pitch() const {
    return (input_.tensor.elements + 2 * lanes_ - 1) / (2 * lanes_) * (2 * lanes_);
  }
  std::int64_t scratch_floats(std::int64_t chunks) const {
    const std::int64_t outputs = output_.elements;
    const bool has_rows = reads_rows_ && row_pitch() == input_.tensor.elements;
    return chunks * lanes_ * ((has_rows ? 0 : row_pitch()) + outputs) +
           (is_large() ? outputs * (kPackedColumns + kColumns) : 0);
  }
  bool is_large() const { return input_.tensor.elements * output_.elements > kSmallMatrix; }

  kernels::ImageStrides strides(const Tensor& tensor) const {
    return {.channel = lanes_, .row = 0, .column = tensor.elements * lanes_};
  }

  // `gradient`: room for that of some columns of a large matrix.
  void write_weight_gradient(const Block& block, kernels::RowsWeightGradient task, Columns columns,
                             float* gradient) const {
    const std::int64_t features = input_.tensor.elements;
    const std::int64_t first = weight_ + columns.first;
    if (block.update == nullptr || !is_large()) {
      task.gradient = block.gradient + (first - block.gradient_begin);
      task.gradient_pitch = features;
      task.accumulates = !block.begins_gradient;
      block.kernels.rows_weight_gradient(task);
      return;
    }
    task.gradient = gradient;
    task.gradient_pitch = columns.count;
    task.accumulates = false;
    block.kernels.rows_weight_gradient(task);
    for (std::int64_t o = 0; o < output_.elements; ++o) {
      (*block.update)(first + o * features,
                      {gradient + o * columns.count, static_cast<std::size_t>(columns.count)});
    }
  }

  // `packed`: room for a few columns of a large matrix.
  void write_input_gradient(const Block& block, Columns columns, float* packed) const {
    const std::int64_t features = input_.tensor.elements;
    const std::int64_t outputs = output_.elements;
    const float* weights = block.weights + weight_;
    if (!is_large()) {
      write_input_gradient(block, columns, weights, features);
      return;
    }
    const std::int64_t end = columns.first + columns.count;
    for (std::int64_t first = columns.first; first < end; first += kPackedColumns) {
      const Columns few{.first = first, .count = std::min(kPackedColumns, end - first)};
      for (std::int64_t o = 0; o < outputs; ++o)
        std::copy_n(weights + o * features + first, few.count, packed + o * few.count);
      write_input_gradient(block, few, packed, few.count);
    }
  }

  // From weights[output * pitch + column].
  void write_input_gradient(const Block& block, Columns columns, const float* weights,
                            std::int64_t pitch) const {
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
                           .weight_in = pitch,
                           .accumulates = input_.accumulates});
  }

  Input input_;
  Tensor output_;
  bool has_relu_;
  bool reads_rows_;
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
