// conv2d on images with channels innermost, and the way from there to chunks of lanes.

#include <algorithm>  // for copy_n, fill_n, min
#include <vector>     // for vector

#include "models/resident/step.h"

namespace coppice::resident {
namespace {

constexpr std::int64_t kCacheLine = 16;  // floats

std::int64_t whole_lines(std::int64_t floats) {
  return (floats + kCacheLine - 1) / kCacheLine * kCacheLine;
}

// Aligned to a register.
struct alignas(64) Winners {
  std::int32_t of[kCacheLine];
};

class ChannelConvolution final : public Step {
 public:
  explicit ChannelConvolution(const StepInputs& in);

  void forward(const Block& block) override;
  void backward(const Block& block) override;
  StepMemory memory(std::int64_t samples) const override;

 private:
  // Floats of an image's row, without padding.
  std::int64_t image_row() const { return sizes_.in_row() - 2 * padding_[1] * sizes_.in_channels; }
  bool is_padded() const { return padding_[0] != 0 || padding_[1] != 0; }
  std::int64_t weight_count() const { return sizes_.out_channels * sizes_.window(); }
  std::int64_t padded_floats(std::int64_t samples) const {
    return is_padded() ? whole_lines(samples * sizes_.in_floats()) : 0;
  }
  std::int64_t in_gradient_floats(std::int64_t samples) const {
    const bool is_direct = !is_padded() && !input_.accumulates;
    const bool is_wanted = input_.tensor.gradient != nullptr;
    return is_wanted && !is_direct ? whole_lines(samples * sizes_.in_floats()) : 0;
  }
  std::size_t winner_lines(std::int64_t samples) const {
    return static_cast<std::size_t>(whole_lines(samples * output_.elements) / kCacheLine);
  }

  const float* padded_input(const Block& block, float* to) const;
  // Calls visit(offset in the image, offset in the padded image) for every row of every sample.
  template <typename Visit>
  void each_row(const Block& block, const Visit& visit) const;
  void add_line_gradient(const Block& block);
  void add_gradients(const Block& block);
  void unpad_gradient(const Block& block, const float* padded);

  Input input_;
  Tensor output_;
  bool has_relu_;
  bool has_pool_;
  kernels::ChannelConvolution sizes_;
  Pair padding_;
  std::int64_t weight_;
  std::int64_t bias_ = -1;
  Scratch* scratch_;
  const kernels::LaneKernels& kernels_;
  std::vector<std::int32_t> channels_;  // of the non-zeros' lists
  std::vector<std::int32_t> positions_;
  std::vector<Winners> winners_;  // of the last forward: which of each 2 x 2 outputs was largest
};

ChannelConvolution::ChannelConvolution(const StepInputs& in)
    : input_(in.inputs[0]),
      output_(in.output),
      has_relu_(in.has_relu),
      has_pool_(in.has_pool),
      padding_(in.node.attributes.padding),
      weight_(in.parameter_offset(0)),
      scratch_(in.scratch),
      kernels_(*in.kernels) {
  const Attributes& a = in.node.attributes;
  const Shape& shape = in.input_shape();
  sizes_ = {.in_channels = shape[0],
            .out_channels = in.node.shape[0],
            .in_rows = shape[1] + 2 * padding_[0],
            .in_columns = shape[2] + 2 * padding_[1],
            .out_rows = in.node.shape[1],
            .out_columns = in.node.shape[2],
            .taps_y = a.kernel[0],
            .taps_x = a.kernel[1],
            .step_y = std::max<std::int64_t>(a.stride[0], 1),
            .step_x = std::max<std::int64_t>(a.stride[1], 1)};
  if (a.bias) bias_ = in.parameter_offset(1);
}

template <typename Visit>
void ChannelConvolution::each_row(const Block& block, const Visit& visit) const {
  const std::int64_t rows = sizes_.in_rows - 2 * padding_[0];
  for (std::int64_t sample = 0; sample < block.samples; ++sample) {
    for (std::int64_t y = 0; y < rows; ++y) {
      visit((sample * rows + y) * image_row(), sample * sizes_.in_floats() +
                                                   (y + padding_[0]) * sizes_.in_row() +
                                                   padding_[1] * sizes_.in_channels);
    }
  }
}

const float* ChannelConvolution::padded_input(const Block& block, float* to) const {
  if (!is_padded()) return input_.tensor.values;
  std::fill_n(to, block.samples * sizes_.in_floats(), 0.0F);
  each_row(block, [&](std::int64_t from, std::int64_t at) {
    std::copy_n(input_.tensor.values + from, image_row(), to + at);
  });
  return to;
}

void ChannelConvolution::forward(const Block& block) {
  const kernels::ChannelKernels& kernels = block.kernels.channels;
  const std::int64_t weights = whole_lines(weight_count());
  const std::int64_t rows = has_pool_ ? whole_lines(2 * sizes_.out_row()) : 0;
  float* tiles = scratch_->get(weights + rows + padded_floats(block.samples));
  const float* in = padded_input(block, tiles + weights + rows);
  const float* bias = bias_ < 0 ? nullptr : block.weights + bias_;
  kernels.pack_tiles(sizes_, block.weights + weight_, tiles);
  if (!has_pool_) {
    kernels.convolve(sizes_, in, tiles, bias, has_relu_, block.samples, output_.values);
    return;
  }
  winners_.resize(winner_lines(block.samples));
  kernels.convolve_and_pool(sizes_, in, tiles, bias, has_relu_, block.samples, tiles + weights,
                            output_.values, winners_.data()->of);
}

StepMemory ChannelConvolution::memory(std::int64_t samples) const {
  const kernels::ChannelKernels& kernels = kernels_.channels;
  const std::int64_t weights = whole_lines(weight_count());
  const std::int64_t rows = has_pool_ ? whole_lines(2 * sizes_.out_row()) : 0;
  StepMemory memory{.scratch_floats = weights + rows + padded_floats(samples)};
  if (has_pool_)
    memory.held_bytes = static_cast<std::int64_t>(winner_lines(samples) * sizeof(Winners));
  if (output_.gradient == nullptr || sizes_.in_channels % kernels_.lanes != 0) return memory;
  const std::int64_t list = kernels.list_size(sizes_);
  memory.scratch_floats =
      std::max(memory.scratch_floats, 2 * weights + 2 * whole_lines(list) + padded_floats(samples) +
                                          in_gradient_floats(samples));
  memory.held_bytes += 2 * list * static_cast<std::int64_t>(sizeof(std::int32_t));
  return memory;
}

void ChannelConvolution::backward(const Block& block) {
  if (has_relu_) rectify_own_gradient(block, output_);
  if (bias_ >= 0) {
    block.kernels.channels.sum_rows(
        output_.gradient, block.samples * output_.elements / sizes_.out_channels,
        sizes_.out_channels, block.gradient_at(bias_, sizes_.out_channels));
  }
  if (sizes_.in_channels % block.kernels.lanes == 0) {
    add_gradients(block);
  } else {
    add_line_gradient(block);
  }
}

// There is no gradient by the input then: see can_have_channels_innermost().
void ChannelConvolution::add_line_gradient(const Block& block) {
  const kernels::ChannelKernels& kernels = block.kernels.channels;
  const std::int64_t weights = whole_lines(weight_count());
  float* lines = scratch_->get(weights + padded_floats(block.samples));
  kernels.line_gradient(sizes_, padded_input(block, lines + weights), output_.gradient,
                        block.samples, lines);
  kernels.add_lines(sizes_, lines, block.gradient_at(weight_, weight_count()));
}

void ChannelConvolution::add_gradients(const Block& block) {
  const kernels::ChannelKernels& kernels = block.kernels.channels;
  const Tensor& input = input_.tensor;
  const std::int64_t weights = whole_lines(weight_count());
  const std::int64_t list = kernels.list_size(sizes_);
  const bool is_direct = !is_padded() && !input_.accumulates;
  const std::int64_t in_floats = block.samples * sizes_.in_floats();
  float* windows = scratch_->get(2 * weights + 2 * whole_lines(list) +
                                 padded_floats(block.samples) + in_gradient_floats(block.samples));
  float* windows_gradient = windows + weights;
  float* by_position = windows_gradient + weights;
  float* by_channel = by_position + whole_lines(list);
  float* padded = by_channel + whole_lines(list);
  channels_.resize(static_cast<std::size_t>(list));
  positions_.resize(static_cast<std::size_t>(list));
  kernels::ChannelGradient gradient{.in = padded_input(block, padded),
                                    .out_gradient = output_.gradient,
                                    .winners = has_pool_ ? winners_.data()->of : nullptr,
                                    .windows = windows,
                                    .windows_gradient = windows_gradient,
                                    .in_gradient = nullptr,
                                    .samples = block.samples,
                                    .lists = {.by_position = by_position,
                                              .by_channel = by_channel,
                                              .channels = channels_.data(),
                                              .positions = positions_.data()}};
  std::fill_n(windows_gradient, weight_count(), 0.0F);
  if (input.gradient != nullptr) {
    kernels.pack_windows(sizes_, block.weights + weight_, windows);
    gradient.in_gradient = is_direct ? input.gradient : padded + padded_floats(block.samples);
    std::fill_n(gradient.in_gradient, in_floats, 0.0F);
  }
  kernels.gradient(sizes_, gradient);
  kernels.add_windows(sizes_, windows_gradient, block.gradient_at(weight_, weight_count()));
  if (input.gradient != nullptr && !is_direct) unpad_gradient(block, gradient.in_gradient);
}

void ChannelConvolution::unpad_gradient(const Block& block, const float* padded) {
  each_row(block, [&](std::int64_t to, std::int64_t at) {
    block.kernels.copy(padded + at, image_row() / block.kernels.lanes, input_.accumulates,
                       input_.tensor.gradient + to);
  });
}

// A vector's elements are its image's, channel by channel.
class ToLanes final : public Step {
 public:
  ToLanes(const StepInputs& in, const Shape& shape)
      : input_(in.inputs[0]),
        output_(in.output),
        channels_(shape[0]),
        area_(in.output.elements / shape[0]),
        lanes_(in.lanes),
        scratch_(in.scratch) {}

  void forward(const Block& block) override {
    const std::int64_t size = output_.elements;
    float* pixels = scratch_->get(size * lanes_);
    for (std::int64_t first = 0; first < block.samples; first += lanes_) {
      block.kernels.from_rows(input_.tensor.values + first * size, size,
                              std::min(lanes_, block.samples - first), size, pixels);
      block.kernels.transpose(pixels, area_, channels_, output_.values + first * size);
    }
  }
  StepMemory memory(std::int64_t) const override {
    const bool trains = input_.tensor.gradient != nullptr;
    return {.scratch_floats = (trains ? 2 : 1) * output_.elements * lanes_};
  }
  void backward(const Block& block) override {
    if (input_.tensor.gradient == nullptr) return;
    const std::int64_t size = output_.elements;
    float* pixels = scratch_->get(2 * size * lanes_);
    float* rows = pixels + size * lanes_;
    for (std::int64_t first = 0; first < block.samples; first += lanes_) {
      const std::int64_t samples = std::min(lanes_, block.samples - first);
      block.kernels.transpose(output_.gradient + first * size, channels_, area_, pixels);
      float* to = input_.tensor.gradient + first * size;
      if (!input_.accumulates) {
        block.kernels.to_rows(pixels, size, samples, to, size);
        continue;
      }
      block.kernels.to_rows(pixels, size, samples, rows, size);
      for (std::int64_t i = 0; i < samples * size; ++i) to[i] += rows[i];
    }
  }

 private:
  Input input_;
  Tensor output_;
  std::int64_t channels_;
  std::int64_t area_;
  std::int64_t lanes_;
  Scratch* scratch_;
};

}  // namespace

std::unique_ptr<Step> make_channel_convolution_step(const StepInputs& inputs) {
  return std::make_unique<ChannelConvolution>(inputs);
}

std::unique_ptr<Step> make_to_lanes_step(const StepInputs& inputs, const Shape& shape) {
  return std::make_unique<ToLanes>(inputs, shape);
}

}  // namespace coppice::resident
