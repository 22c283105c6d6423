// conv2d with stride, padding and groups.
//
// The gradient by the input is a product again, over the output's gradient with the taps backwards.
// With a stride, inputs whose distance to a window's start has the same remainder see the same
// taps, so each such phase is a product of its own with every stride-th tap.

#include <algorithm>  // for max

#include "models/resident/step.h"

namespace coppice::resident {
namespace {

using kernels::ImageStrides;
using kernels::LaneKernels;
using kernels::LaneProduct;
using kernels::WindowAxis;

struct Axis {
  std::int64_t inputs;
  std::int64_t outputs;
  std::int64_t taps;
  std::int64_t stride;
  std::int64_t padding;

  WindowAxis forward() const {
    return {.outputs = outputs,
            .inputs = inputs,
            .step = stride,
            .tap_step = 1,
            .origin = -padding,
            .taps = taps};
  }
  // The first tap that inputs phase, phase + stride, ... see.
  std::int64_t first_tap(std::int64_t phase) const { return (phase + padding) % stride; }
  WindowAxis backward(std::int64_t phase) const {
    const std::int64_t tap = first_tap(phase);
    return {.outputs = phase < inputs ? (inputs - phase + stride - 1) / stride : 0,
            .inputs = outputs,
            .step = 1,
            .tap_step = -1,
            .origin = (phase + padding - tap) / stride,
            .taps = tap < taps ? (taps - tap + stride - 1) / stride : 0};
  }
};

// Zero columns that a product reads on both sides of its input.
struct Halo {
  std::int64_t left = 0;
  std::int64_t right = 0;

  void cover(const WindowAxis& x) {
    if (x.outputs == 0 || x.taps == 0) return;
    const std::int64_t reach = x.tap_step * (x.taps - 1);
    const std::int64_t last = (x.outputs - 1) * x.step + x.origin;
    left = std::max({left, -x.origin, -x.origin - reach});
    right = std::max({right, last - x.inputs + 1, last + reach - x.inputs + 1});
  }
  bool is_empty() const { return left == 0 && right == 0; }
};

// Images of one chunk: [channels][rows][columns].
struct Images {
  std::int64_t channels;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t lanes;

  ImageStrides strides() const {
    return {.channel = rows * columns * lanes, .row = columns * lanes, .column = lanes};
  }
  std::int64_t floats() const { return channels * rows * columns * lanes; }
  Images with(const Halo& halo) const {
    return {channels, rows, columns + halo.left + halo.right, lanes};
  }
  // A copy of `in` with the halo, at `to`; returns where column 0 is.
  const float* pad(const LaneKernels& kernels, const float* in, const Halo& halo, float* to) const {
    if (halo.is_empty()) return in;
    kernels.pad_columns(in, channels * rows, columns, halo.left, halo.right, to);
    return to + halo.left * lanes;
  }
};

class Convolution final : public Step {
 public:
  explicit Convolution(const StepInputs& in);

  void forward(const Block& block) override;
  void backward(const Block& block) override;
  StepMemory memory(std::int64_t samples) const override;

 private:
  void add_weight_gradient(const Block& block);
  void write_input_gradient(const Block& block);
  void write_phase(const Block& block, const float* out_gradient, float* in_gradient,
                   std::int64_t phase_y, std::int64_t phase_x) const;

  Input input_;
  Tensor output_;
  bool has_relu_;
  Images in_;
  Images out_;
  Axis y_;
  Axis x_;
  std::int64_t groups_;
  std::int64_t weight_;
  std::int64_t bias_ = -1;
  Halo forward_halo_;
  Halo backward_halo_;
  Scratch* scratch_;
};

Axis axis_of(const StepInputs& in, std::size_t i) {
  const Attributes& a = in.node.attributes;
  return {.inputs = in.input_shape()[i + 1],
          .outputs = in.node.shape[i + 1],
          .taps = a.kernel[i],
          .stride = std::max<std::int64_t>(a.stride[i], 1),
          .padding = a.padding[i]};
}

Images images_of(const Shape& shape, std::int64_t lanes) {
  return {.channels = shape[0], .rows = shape[1], .columns = shape[2], .lanes = lanes};
}

Convolution::Convolution(const StepInputs& in)
    : input_(in.inputs[0]),
      output_(in.output),
      has_relu_(in.has_relu),
      in_(images_of(in.input_shape(), in.lanes)),
      out_(images_of(in.node.shape, in.lanes)),
      y_(axis_of(in, 0)),
      x_(axis_of(in, 1)),
      groups_(in.node.attributes.groups),
      weight_(in.parameter_offset(0)),
      scratch_(in.scratch) {
  if (in.node.attributes.bias) bias_ = in.parameter_offset(1);
  forward_halo_.cover(x_.forward());
  for (std::int64_t phase = 0; phase < x_.stride; ++phase) backward_halo_.cover(x_.backward(phase));
}

void Convolution::forward(const Block& block) {
  const Images padded = in_.with(forward_halo_);
  float* scratch = forward_halo_.is_empty() ? nullptr : scratch_->get(padded.floats());
  const std::int64_t in_channels = in_.channels / groups_;
  const std::int64_t out_channels = out_.channels / groups_;
  const std::int64_t taps = y_.taps * x_.taps;
  LaneProduct product{.in_channels = in_channels,
                      .out_channels = out_channels,
                      .y = y_.forward(),
                      .x = x_.forward(),
                      .in_strides = padded.strides(),
                      .out_strides = out_.strides(),
                      .weight_out = in_channels * taps,
                      .weight_in = taps,
                      .weight_y = x_.taps,
                      .weight_x = 1,
                      .has_relu = has_relu_};
  for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
    const float* in =
        in_.pad(block.kernels, input_.tensor.values + chunk * in_.floats(), forward_halo_, scratch);
    float* out = output_.values + chunk * out_.floats();
    for (std::int64_t group = 0; group < groups_; ++group) {
      product.in = in + group * in_channels * product.in_strides.channel;
      product.weights = block.weights + weight_ + group * out_channels * product.weight_out;
      product.bias = bias_ < 0 ? nullptr : block.weights + bias_ + group * out_channels;
      product.out = out + group * out_channels * product.out_strides.channel;
      block.kernels.product(product);
    }
  }
}

StepMemory Convolution::memory(std::int64_t samples) const {
  const std::int64_t chunks = (samples + in_.lanes - 1) / in_.lanes;
  std::int64_t floats = 0;
  if (!forward_halo_.is_empty())
    floats = (output_.gradient == nullptr ? 1 : chunks) * in_.with(forward_halo_).floats();
  if (!backward_halo_.is_empty() && input_.tensor.gradient != nullptr)
    floats = std::max(floats, out_.with(backward_halo_).floats());
  return {.scratch_floats = floats};
}

void Convolution::backward(const Block& block) {
  if (has_relu_) rectify_own_gradient(block, output_);
  if (bias_ >= 0) {
    float* bias = block.gradient_at(bias_, out_.channels);
    for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
      block.kernels.channel_sums(output_.gradient + chunk * out_.floats(), out_.channels,
                                 out_.rows * out_.columns, bias);
    }
  }
  add_weight_gradient(block);
  if (input_.tensor.gradient != nullptr) write_input_gradient(block);
}

void Convolution::add_weight_gradient(const Block& block) {
  const Images padded = in_.with(forward_halo_);
  const float* in = input_.tensor.values;
  if (!forward_halo_.is_empty()) {
    float* scratch = scratch_->get(block.chunks * padded.floats());
    for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
      in_.pad(block.kernels, input_.tensor.values + chunk * in_.floats(), forward_halo_,
              scratch + chunk * padded.floats());
    }
    in = scratch + forward_halo_.left * in_.lanes;
  }
  const std::int64_t in_channels = in_.channels / groups_;
  const std::int64_t out_channels = out_.channels / groups_;
  kernels::LaneWeightGradient gradient{.in_channels = in_channels,
                                       .out_channels = out_channels,
                                       .y = y_.forward(),
                                       .x = x_.forward(),
                                       .in_strides = padded.strides(),
                                       .out_strides = out_.strides(),
                                       .chunks = block.chunks,
                                       .in_chunk = padded.floats(),
                                       .out_chunk = out_.floats()};
  const std::int64_t weights = out_channels * in_channels * y_.taps * x_.taps;
  gradient.gradient = block.gradient_at(weight_, groups_ * weights);
  for (std::int64_t group = 0; group < groups_; ++group) {
    gradient.in = in + group * in_channels * gradient.in_strides.channel;
    gradient.out_gradient = output_.gradient + group * out_channels * gradient.out_strides.channel;
    block.kernels.weight_gradient(gradient);
    gradient.gradient += weights;
  }
}

void Convolution::write_input_gradient(const Block& block) {
  float* scratch =
      backward_halo_.is_empty() ? nullptr : scratch_->get(out_.with(backward_halo_).floats());
  for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
    const float* out_gradient =
        out_.pad(block.kernels, output_.gradient + chunk * out_.floats(), backward_halo_, scratch);
    float* in_gradient = input_.tensor.gradient + chunk * in_.floats();
    for (std::int64_t phase_y = 0; phase_y < y_.stride; ++phase_y) {
      for (std::int64_t phase_x = 0; phase_x < x_.stride; ++phase_x)
        write_phase(block, out_gradient, in_gradient, phase_y, phase_x);
    }
  }
}

void Convolution::write_phase(const Block& block, const float* out_gradient, float* in_gradient,
                              std::int64_t phase_y, std::int64_t phase_x) const {
  const std::int64_t in_channels = in_.channels / groups_;
  const std::int64_t out_channels = out_.channels / groups_;
  const std::int64_t taps = y_.taps * x_.taps;
  const ImageStrides strides = in_.strides();
  const float* weights =
      block.weights + weight_ + y_.first_tap(phase_y) * x_.taps + x_.first_tap(phase_x);
  LaneProduct product{.in_channels = out_channels,
                      .out_channels = in_channels,
                      .y = y_.backward(phase_y),
                      .x = x_.backward(phase_x),
                      .in_strides = out_.with(backward_halo_).strides(),
                      .out_strides = {.channel = strides.channel,
                                      .row = y_.stride * strides.row,
                                      .column = x_.stride * strides.column},
                      .weight_out = taps,
                      .weight_in = in_channels * taps,
                      .weight_y = y_.stride * x_.taps,
                      .weight_x = x_.stride,
                      .accumulates = input_.accumulates};
  for (std::int64_t group = 0; group < groups_; ++group) {
    product.in = out_gradient + group * out_channels * product.in_strides.channel;
    product.weights = weights + group * out_channels * product.weight_in;
    product.out = in_gradient + group * in_channels * strides.channel + phase_y * strides.row +
                  phase_x * strides.column;
    block.kernels.product(product);
  }
}

}  // namespace

std::unique_ptr<Step> make_convolution_step(const StepInputs& inputs) {
  return std::make_unique<Convolution>(inputs);
}

}  // namespace coppice::resident
