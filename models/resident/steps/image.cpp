// Pools, group_norm and concat.

#include "models/resident/lifetimes.h"
#include "models/resident/step.h"

namespace coppice::resident {
namespace {

kernels::LanePool pool_of(const StepInputs& in) {
  const Shape& shape = in.input_shape();
  const Attributes& a = in.node.attributes;
  if (in.node.op == OpKind::global_avg_pool) {
    return {.channels = shape[0],
            .y = {.inputs = shape[1], .taps = shape[1]},
            .x = {.inputs = shape[2], .taps = shape[2]},
            .in_strides = {},
            .out_strides = {}};
  }
  const auto axis = [&](std::size_t i) -> kernels::WindowAxis {
    return {.outputs = in.node.shape[i + 1],
            .inputs = shape[i + 1],
            .step = a.stride[i] == 0 ? a.kernel[i] : a.stride[i],
            .tap_step = 1,
            .origin = -a.padding[i],
            .taps = a.kernel[i]};
  };
  return {.channels = shape[0], .y = axis(0), .x = axis(1), .in_strides = {}, .out_strides = {}};
}

class Pool final : public Step {
 public:
  explicit Pool(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        pool_(pool_of(in)),
        is_maximum_(in.node.op == OpKind::max_pool2d),
        bits_(in.bits),
        winner_bits_(is_maximum_ ? winner_bits(in.node) : 1) {
    pool_.in_strides = strides_of(input_.tensor, pool_.y.inputs, pool_.x.inputs, in.lanes);
    pool_.out_strides = strides_of(output_, pool_.y.outputs, pool_.x.outputs, in.lanes);
  }

  void forward(const Block& block) override {
    const auto run = is_maximum_ ? block.kernels.max_pool : block.kernels.average_pool;
    const bool keeps_winners = bits_ != nullptr && block.gradient != nullptr;
    each_part(block, [&](const kernels::LanePool& pool, std::int64_t in, std::int64_t out) {
      run(pool, input_.tensor.values + in, output_.values + out);
      if (!keeps_winners) return;
      block.kernels.max_pool_winners(pool, input_.tensor.values + in, output_.values + out,
                                     winner_bits_, winners_at(block, out));
    });
  }
  void backward(const Block& block) override {
    const Tensor& from = input_.tensor;
    if (from.gradient == nullptr) return;
    each_part(block, [&](const kernels::LanePool& pool, std::int64_t in, std::int64_t out) {
      if (bits_ != nullptr) {
        block.kernels.max_pool_gradient_to(pool, winners_at(block, out), winner_bits_,
                                           output_.gradient + out, input_.accumulates,
                                           from.gradient + in);
      } else if (is_maximum_) {
        block.kernels.max_pool_gradient(pool, from.values + in, output_.values + out,
                                        output_.gradient + out, input_.accumulates,
                                        from.gradient + in);
      } else {
        block.kernels.average_pool_gradient(pool, output_.gradient + out, input_.accumulates,
                                            from.gradient + in);
      }
    });
  }

 private:
  // Of images of registers: with channels innermost these are a few channels each.
  kernels::ImageStrides strides_of(const Tensor& tensor, std::int64_t rows, std::int64_t columns,
                                   std::int64_t lanes) const {
    if (tensor.has_channels_innermost) {
      const std::int64_t pixel = pool_.channels;
      return {.channel = lanes, .row = columns * pixel, .column = pixel};
    }
    return {.channel = rows * columns * lanes, .row = columns * lanes, .column = lanes};
  }

  // Calls visit(pool, offset of inputs, offset of outputs): once, as channels of all chunks are
  // one axis, or with channels innermost once a sample.
  template <typename Visit>
  void each_part(const Block& block, const Visit& visit) const {
    kernels::LanePool pool = pool_;
    if (!output_.has_channels_innermost) {
      pool.channels *= block.chunks;
      visit(pool, 0, 0);
      return;
    }
    pool.channels /= block.kernels.lanes;
    for (std::int64_t sample = 0; sample < block.samples; ++sample)
      visit(pool, sample * input_.tensor.elements, sample * output_.elements);
  }

  // Of the part whose outputs begin at `out`: with channels innermost a sample's, in whole words.
  std::uint32_t* winners_at(const Block& block, std::int64_t out) const {
    if (out == 0) return bits_;
    const std::int64_t lanes = block.kernels.lanes;
    const std::int64_t a_word = 32 / winner_bits_;
    const std::int64_t words = (output_.elements / lanes + a_word - 1) / a_word * lanes;
    return bits_ + out / output_.elements * words;
  }

  Input input_;
  Tensor output_;
  kernels::LanePool pool_;
  bool is_maximum_;
  std::uint32_t* bits_;  // winners; null: the values are there
  std::int64_t winner_bits_;
};

class GroupNorm final : public Step {
 public:
  explicit GroupNorm(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        has_relu_(in.has_relu),
        lanes_(in.lanes),
        weight_(in.parameter_offset(0)),
        bias_(in.parameter_offset(1)) {
    const Attributes& a = in.node.attributes;
    norm_ = {.groups = in.node.shape[0] / a.group_size,
             .group_size = a.group_size,
             .area = output_.elements / in.node.shape[0],
             .epsilon = static_cast<float>(a.epsilon)};
  }

  void forward(const Block& block) override {
    const auto needed = static_cast<std::size_t>(block.chunks * statistics_size());
    if (statistics_.size() < needed) statistics_ = AlignedBuffer(needed);
    for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
      const std::int64_t at = chunk * output_.elements * lanes_;
      block.kernels.group_norm(norm_, input_.tensor.values + at, block.weights + weight_,
                               block.weights + bias_, has_relu_,
                               statistics_.data() + chunk * statistics_size(), output_.values + at);
    }
  }
  StepMemory memory(std::int64_t samples) const override {
    const std::int64_t chunks = (samples + lanes_ - 1) / lanes_;
    return {.held_bytes = chunks * statistics_size() * static_cast<std::int64_t>(sizeof(float))};
  }
  void backward(const Block& block) override {
    if (has_relu_) rectify_own_gradient(block, output_);
    // Without a gradient to write, as above a network's first layer, it goes where it is not read.
    float* in_gradient =
        input_.tensor.gradient == nullptr ? output_.gradient : input_.tensor.gradient;
    const std::int64_t channels = norm_.groups * norm_.group_size;
    float* weight = block.gradient_at(weight_, channels);
    float* bias = block.gradient_at(bias_, channels);
    for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
      const std::int64_t at = chunk * output_.elements * lanes_;
      block.kernels.group_norm_gradient(norm_, input_.tensor.values + at, block.weights + weight_,
                                        statistics_.data() + chunk * statistics_size(),
                                        output_.gradient + at, input_.accumulates, in_gradient + at,
                                        weight, bias);
    }
  }

 private:
  std::int64_t statistics_size() const { return 2 * norm_.groups * lanes_; }

  Input input_;
  Tensor output_;
  bool has_relu_;
  std::int64_t lanes_;
  std::int64_t weight_;
  std::int64_t bias_;
  kernels::LaneGroupNorm norm_;
  AlignedBuffer statistics_;  // of the last forward
};

// Along channels or features, which are outermost in a sample.
class Concat final : public Step {
 public:
  explicit Concat(const StepInputs& in)
      : inputs_(in.inputs), output_(in.output), lanes_(in.lanes) {}

  void forward(const Block& block) override {
    each_part(block, [&](const Input& input, std::int64_t in, std::int64_t out) {
      block.kernels.copy(input.tensor.values + in, input.tensor.elements, false,
                         output_.values + out);
    });
  }
  void backward(const Block& block) override {
    each_part(block, [&](const Input& input, std::int64_t in, std::int64_t out) {
      if (input.tensor.gradient == nullptr) return;
      block.kernels.copy(output_.gradient + out, input.tensor.elements, input.accumulates,
                         input.tensor.gradient + in);
    });
  }

 private:
  template <typename Visit>
  void each_part(const Block& block, const Visit& visit) const {
    std::int64_t out = 0;
    for (std::int64_t chunk = 0; chunk < block.chunks; ++chunk) {
      for (const Input& input : inputs_) {
        const std::int64_t size = input.tensor.elements * lanes_;
        visit(input, chunk * size, out);
        out += size;
      }
    }
  }

  std::vector<Input> inputs_;
  Tensor output_;
  std::int64_t lanes_;
};

}  // namespace

std::unique_ptr<Step> make_pool_step(const StepInputs& inputs) {
  return std::make_unique<Pool>(inputs);
}
std::unique_ptr<Step> make_group_norm_step(const StepInputs& inputs) {
  return std::make_unique<GroupNorm>(inputs);
}
std::unique_ptr<Step> make_concat_step(const StepInputs& inputs) {
  return std::make_unique<Concat>(inputs);
}

}  // namespace coppice::resident
