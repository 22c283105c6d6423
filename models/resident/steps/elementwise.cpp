// input, normalize, the ReLU family, add, dropout and grids.

#include <limits>  // for numeric_limits
#include <vector>  // for vector

#include "models/resident/step.h"

namespace coppice::resident {
namespace {

constexpr float kNoLimit = std::numeric_limits<float>::infinity();

class InputStep final : public Step {
 public:
  explicit InputStep(const StepInputs& in)
      : output_(in.output), channels_(in.node.shape[0]), lanes_(in.lanes) {}

  void forward(const Block& block) override {
    if (output_.has_channels_innermost) {
      to_channels(block);
      return;
    }
    for (std::int64_t first = 0; first < block.samples; first += lanes_) {
      block.kernels.from_rows(block.rows + first * output_.elements, output_.elements,
                              std::min(lanes_, block.samples - first), output_.elements,
                              output_.values + first * output_.elements);
    }
  }
  void backward(const Block&) override {}

 private:
  void to_channels(const Block& block) const {
    const std::int64_t area = output_.elements / channels_;
    for (std::int64_t sample = 0; sample < block.samples; ++sample) {
      const float* from = block.rows + sample * output_.elements;
      float* to = output_.values + sample * output_.elements;
      for (std::int64_t c = 0; c < channels_; ++c) {
        for (std::int64_t i = 0; i < area; ++i) to[i * channels_ + c] = from[c * area + i];
      }
    }
  }

  Tensor output_;
  std::int64_t channels_;
  std::int64_t lanes_;
};

class Normalize final : public Step {
 public:
  explicit Normalize(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        mean_(static_cast<float>(in.node.attributes.mean)),
        deviation_(static_cast<float>(in.node.attributes.deviation)) {}

  void forward(const Block& block) override {
    block.kernels.normalize(input_.tensor.values, block.registers(output_), mean_, deviation_,
                            output_.values);
  }
  void backward(const Block& block) override {
    if (input_.tensor.gradient == nullptr) return;
    block.kernels.divide(output_.gradient, block.registers(output_), deviation_, input_.accumulates,
                         input_.tensor.gradient);
  }

 private:
  Input input_;
  Tensor output_;
  float mean_;
  float deviation_;
};

class Rectifier final : public Step {
 public:
  explicit Rectifier(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        slope_(in.node.op == OpKind::leaky_relu ? static_cast<float>(in.node.attributes.slope)
                                                : 0.0F),
        highest_(in.node.op == OpKind::relu6 ? 6.0F : kNoLimit),
        bits_(in.bits) {}

  void forward(const Block& block) override {
    const std::int64_t n = block.registers(output_);
    block.kernels.rectify(input_.tensor.values, n, slope_, highest_, output_.values);
    if (bits_ != nullptr && block.gradient != nullptr)
      block.kernels.pack_between(output_.values, n, 0.0F, highest_, bits_);
  }
  void backward(const Block& block) override {
    if (input_.tensor.gradient == nullptr) return;
    if (bits_ != nullptr) {
      block.kernels.pass_between(bits_, output_.gradient, block.registers(output_), slope_,
                                 input_.accumulates, input_.tensor.gradient);
      return;
    }
    block.kernels.rectify_gradient(output_.values, output_.gradient, block.registers(output_),
                                   slope_, highest_, input_.accumulates, input_.tensor.gradient);
  }

 private:
  Input input_;
  Tensor output_;
  float slope_;
  float highest_;
  std::uint32_t* bits_;  // null: the values are there
};

class Add final : public Step {
 public:
  explicit Add(const StepInputs& in)
      : inputs_(in.inputs), output_(in.output), has_relu_(in.has_relu) {}

  void forward(const Block& block) override {
    const std::int64_t n = block.registers(output_);
    const float* sum = inputs_[0].tensor.values;
    for (std::size_t i = 1; i < inputs_.size(); ++i) {
      const bool is_last = i + 1 == inputs_.size();
      block.kernels.add(sum, inputs_[i].tensor.values, n, has_relu_ && is_last, output_.values);
      sum = output_.values;
    }
  }
  void backward(const Block& block) override {
    const std::int64_t n = block.registers(output_);
    if (has_relu_) rectify_own_gradient(block, output_);
    for (const Input& input : inputs_) {
      if (input.tensor.gradient == nullptr) continue;
      block.kernels.copy(output_.gradient, n, input.accumulates, input.tensor.gradient);
    }
  }

 private:
  std::vector<Input> inputs_;
  Tensor output_;
  bool has_relu_;
};

class Dropout final : public Step {
 public:
  explicit Dropout(const StepInputs& in)
      : input_(in.inputs[0]),
        output_(in.output),
        lanes_(in.lanes),
        scratch_(in.scratch),
        mask_({.key = {},
               .ordinal = in.dropout_ordinal,
               .count = in.dropout_count,
               .rate = in.node.attributes.rate}) {}

  void forward(const Block& block) override {
    const std::int64_t n = block.registers(output_);
    if (block.dropout == nullptr || mask_.rate == 0.0) {
      block.kernels.copy(input_.tensor.values, n, false, output_.values);
      return;
    }
    draw(block);
    block.kernels.multiply(input_.tensor.values, kept_.data(), n, false, output_.values);
  }
  StepMemory memory(std::int64_t samples) const override {
    if (mask_.rate == 0.0) return {};
    const std::int64_t size = output_.elements;
    const std::int64_t chunks = (samples + lanes_ - 1) / lanes_;
    return {.held_bytes = chunks * lanes_ * size * static_cast<std::int64_t>(sizeof(float)),
            .scratch_floats = samples * size};
  }
  void backward(const Block& block) override {
    if (input_.tensor.gradient == nullptr) return;
    const std::int64_t n = block.registers(output_);
    if (mask_.rate == 0.0) {
      block.kernels.copy(output_.gradient, n, input_.accumulates, input_.tensor.gradient);
    } else {
      block.kernels.multiply(output_.gradient, kept_.data(), n, input_.accumulates,
                             input_.tensor.gradient);
    }
  }

 private:
  void draw(const Block& block) {
    const std::int64_t size = output_.elements;
    const auto needed = static_cast<std::size_t>(block.chunks * size * lanes_);
    if (kept_.size() < needed) kept_ = AlignedBuffer(needed);
    mask_.key = *block.dropout;
    float* rows = scratch_->get(block.samples * size);
    draw_dropout_mask(mask_, block.first_sample * size, block.samples * size, rows);
    const auto kept = static_cast<float>(mask_.kept());
    for (std::int64_t i = 0; i < block.samples * size; ++i) rows[i] *= kept;
    for (std::int64_t first = 0; first < block.samples; first += lanes_) {
      block.kernels.from_rows(rows + first * size, size, std::min(lanes_, block.samples - first),
                              size, kept_.data() + first * size);
    }
  }

  Input input_;
  Tensor output_;
  std::int64_t lanes_;
  Scratch* scratch_;
  DropoutMask mask_;
  AlignedBuffer kept_;  // 0 or 1 / (1 - rate), of the last forward
};

class Grid final : public Step {
 public:
  Grid(const StepInputs& in, const NodeGrid& grid)
      : input_(in.inputs[0]),
        output_(in.output),
        grid_({.scale = grid.scale, .lowest = grid.lowest, .highest = grid.highest}),
        bits_(in.bits) {}

  void forward(const Block& block) override {
    const std::int64_t n = block.registers(output_);
    block.kernels.to_grid(input_.tensor.values, n, grid_, output_.values);
    if (bits_ == nullptr || block.gradient == nullptr) return;
    // Where to_grid_gradient() lets the gradient pass.
    block.kernels.pack_between(input_.tensor.values, n, grid_.scale * (grid_.lowest - 0.5F),
                               grid_.scale * (grid_.highest + 0.5F), bits_);
  }
  void backward(const Block& block) override {
    if (input_.tensor.gradient == nullptr) return;
    if (bits_ != nullptr) {
      block.kernels.pass_between(bits_, output_.gradient, block.registers(output_), 0.0F,
                                 input_.accumulates, input_.tensor.gradient);
      return;
    }
    block.kernels.to_grid_gradient(input_.tensor.values, output_.gradient, block.registers(output_),
                                   grid_, input_.accumulates, input_.tensor.gradient);
  }

 private:
  Input input_;
  Tensor output_;
  kernels::LaneGrid grid_;
  std::uint32_t* bits_;  // null: the values are there
};

}  // namespace

std::unique_ptr<Step> make_input_step(const StepInputs& inputs) {
  return std::make_unique<InputStep>(inputs);
}
std::unique_ptr<Step> make_normalize_step(const StepInputs& inputs) {
  return std::make_unique<Normalize>(inputs);
}
std::unique_ptr<Step> make_rectifier_step(const StepInputs& inputs) {
  return std::make_unique<Rectifier>(inputs);
}
std::unique_ptr<Step> make_add_step(const StepInputs& inputs) {
  return std::make_unique<Add>(inputs);
}
std::unique_ptr<Step> make_dropout_step(const StepInputs& inputs) {
  return std::make_unique<Dropout>(inputs);
}
std::unique_ptr<Step> make_grid_step(const StepInputs& inputs, const NodeGrid& grid) {
  return std::make_unique<Grid>(inputs, grid);
}

}  // namespace coppice::resident
