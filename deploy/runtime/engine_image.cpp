// Images with their channels innermost: pools, norms, concat, channel_scale.

#include <algorithm>  // for max, min
#include <cmath>      // for sqrt
#include <limits>     // for numeric_limits

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/engine_task.h"
#include "deploy/runtime/window.h"
#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

COPPICE_CLONES
void raise_to(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = to[i] < from[i] ? from[i] : to[i];
}

COPPICE_CLONES
void raise_to(const float* from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = to[i] < from[i] ? from[i] : to[i];
}

// Elements of an image's row with its padding.
std::int64_t padded_row(const Node& node, const Shape& image) {
  return (image[2] + 2 * node.padding[1]) * image[0];
}

// The largest of a window's rows, then of its columns, whole rows at a time. Scratch: two rows.
template <typename T>
void max_pool(const EngineStep& step, const T* from, T lowest, T* to) {
  const Node& node = *step.step.node;
  const Shape& in = step.step.inputs[0].shape;
  const Shape& out = step.step.output.shape;
  const std::int64_t channels = in[0];
  const std::int64_t row = in[2] * channels;
  const std::int64_t side = node.padding[1] * channels;
  auto* of_rows = reinterpret_cast<T*>(step.step.scratch);
  T* of_columns = of_rows + padded_row(node, in);
  const std::int64_t starts = padded_row(node, in) - (node.kernel[1] - 1) * channels;
  std::fill_n(of_rows, side, lowest);
  std::fill_n(of_rows + side + row, side, lowest);
  for (std::int64_t y = 0; y < out[1]; ++y) {
    const Window window = window_at(node, in, y, 0);
    std::copy_n(from + window.top * row, row, of_rows + side);
    for (std::int64_t r = window.top + 1; r < window.bottom; ++r)
      raise_to(from + r * row, row, of_rows + side);
    std::copy_n(of_rows, starts, of_columns);
    for (std::int64_t k = 1; k < node.kernel[1]; ++k)
      raise_to(of_rows + k * channels, starts, of_columns);
    for (std::int64_t x = 0; x < out[2]; ++x, to += channels)
      std::copy_n(of_columns + x * node.stride[1] * channels, channels, to);
  }
}

// The sums of a window, channels [first, first + count); of codes they are exact.
void sum_window(const Tensor& in, const Window& window, std::int64_t first, std::int64_t count,
                std::int64_t* code_sums, double* value_sums) {
  const std::int64_t channels = in.shape[0];
  for (std::int64_t y = window.top; y < window.bottom; ++y) {
    for (std::int64_t x = window.left; x < window.right; ++x) {
      const std::int64_t at = (y * in.shape[2] + x) * channels + first;
      for (std::int64_t c = 0; c < count; ++c) {
        if (in.is_codes()) {
          code_sums[c] += int{in.codes[at + c]} - int{in.grid.zero_point};
        } else {
          value_sums[c] += double{in.values[at + c]};
        }
      }
    }
  }
}

// Means over `elements` pixels, those outside the image being zero, to the output at `to`.
void store_means(const EngineStep& step, const Window& window, std::int64_t elements,
                 std::int64_t to) {
  const Tensor& in = step.step.inputs[0];
  const auto n = static_cast<float>(elements);
  for (std::int64_t first = 0; first < in.shape[0]; first += kPiece) {
    const std::int64_t count = std::min(kPiece, in.shape[0] - first);
    std::int64_t code_sums[kPiece] = {};
    double value_sums[kPiece] = {};
    float means[kPiece];
    sum_window(in, window, first, count, code_sums, value_sums);
    for (std::int64_t c = 0; c < count; ++c) {
      means[c] = in.is_codes() ? static_cast<float>(code_sums[c]) * (in.grid.scale / n)
                               : static_cast<float>(value_sums[c] / double{n});
    }
    store(step.step.output, to + first, count, means);
  }
}

void pool(const EngineStep& step) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const Tensor& to = step.step.output;
  if (node.op == Op::max_pool2d && in.is_codes())
    return max_pool(step, in.codes, std::uint8_t{0}, to.codes);
  if (node.op == Op::max_pool2d)
    return max_pool(step, in.values, -std::numeric_limits<float>::infinity(), to.values);
  std::int64_t at = 0;
  for (std::int64_t y = 0; y < to.shape[1]; ++y) {
    for (std::int64_t x = 0; x < to.shape[2]; ++x, at += to.shape[0])
      store_means(step, window_at(node, in.shape, y, x), node.kernel[0] * node.kernel[1], at);
  }
}

void global_average(const EngineStep& step) {
  const Shape& in = step.step.inputs[0].shape;
  store_means(step, {0, in[1], 0, in[2]}, in[1] * in[2], 0);
}

// A group's total, the same for all of its channels, over `count`.
void share(double* of_channels, std::int64_t channels, std::int64_t group, double count) {
  for (std::int64_t first = 0; first < channels; first += group) {
    double sum = 0.0;
    for (std::int64_t c = first; c < first + group; ++c) sum += of_channels[c];
    for (std::int64_t c = first; c < first + group; ++c) of_channels[c] = sum / count;
  }
}

// Of norms: by channel two doubles and three floats with what kernels read behind them; an input of
// codes as values.
struct NormScratch {
  double* sums;
  double* squares;
  float* means;
  float* factors;
  float* bias;
  float* values;
};

std::int64_t with_spare(std::int64_t channels) { return channels + kernels::kSpareChannels; }

NormScratch norm_scratch(const EngineStep& step) {
  const std::int64_t channels = with_spare(step.step.inputs[0].shape[0]);
  auto* doubles = reinterpret_cast<double*>(step.step.scratch);
  auto* floats = reinterpret_cast<float*>(doubles + 2 * channels);
  return {doubles,           doubles + channels,    floats,
          floats + channels, floats + 2 * channels, floats + 3 * channels};
}

// Means and factors of the groups, sums and squares of which are by channel.
void measure_groups(const Node& node, std::int64_t channels, std::int64_t pixels,
                    const NormScratch& scratch) {
  const auto count = static_cast<double>(node.group_size * pixels);
  share(scratch.sums, channels, node.group_size, count);
  share(scratch.squares, channels, node.group_size, count);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double mean = scratch.sums[c];
    const double variance = std::max(0.0, scratch.squares[c] - mean * mean);
    scratch.means[c] = static_cast<float>(mean);
    scratch.factors[c] = static_cast<float>(1.0 / std::sqrt(variance + double{node.epsilon})) *
                         node.norm[static_cast<std::size_t>(c)];
  }
}

void frozen_moments(const Node& node, std::int64_t channels, const NormScratch& scratch) {
  const float* weight = node.norm.data();
  for (std::int64_t c = 0; c < channels; ++c) {
    scratch.means[c] = weight[2 * channels + c];
    scratch.factors[c] = 1.0F / std::sqrt(weight[3 * channels + c] + node.epsilon) * weight[c];
  }
}

// group_norm and batch_norm.
void norm(const EngineStep& step) {
  const Node& node = *step.step.node;
  const Tensor& in = step.step.inputs[0];
  const std::int64_t channels = in.shape[0];
  const std::int64_t pixels = in.size / channels;
  const NormScratch scratch = norm_scratch(step);
  const float* values = in.values;
  if (in.is_codes()) {
    load(in, 0, in.size, scratch.values);
    values = scratch.values;
  }
  if (node.op == Op::batch_norm) {
    frozen_moments(node, channels, scratch);
  } else {
    step.kernels->moments({.input = values,
                           .pixels = pixels,
                           .channels = channels,
                           .sums = scratch.sums,
                           .squares = scratch.squares});
    measure_groups(node, channels, pixels, scratch);
  }
  std::copy_n(node.norm.data() + channels, channels, scratch.bias);
  kernels::Affine task;
  describe(static_cast<kernels::Product&>(task), step);
  task.channels = channels;
  task.pixels = pixels;
  task.input = values;
  task.means = scratch.means;
  task.factors = scratch.factors;
  task.bias = scratch.bias;
  task.scale = step.step.output.grid.scale;
  write_to(task, step.step.output, 0);
  step.kernels->affine(task);
}

void concat(const EngineStep& step) {
  const Tensor& out = step.step.output;
  const std::int64_t pixels = out.shape[1] * out.shape[2];
  float piece[kPiece];
  std::int64_t before = 0;
  for (const Tensor& in : step.step.inputs) {
    const std::int64_t channels = in.shape[0];
    for (std::int64_t p = 0; p < pixels; ++p) {
      for (std::int64_t begin = 0; begin < channels; begin += kPiece) {
        const std::int64_t count = std::min(kPiece, channels - begin);
        load(in, p * channels + begin, count, piece);
        store(out, p * out.shape[0] + before + begin, count, piece);
      }
    }
    before += channels;
  }
}

void channel_scale(const EngineStep& step) {
  const Tensor& in = step.step.inputs[0];
  const std::int64_t channels = in.shape[0];
  for (std::int64_t i = 0; i < in.size; ++i) {
    const float value = in.at(i) * step.step.inputs[1].at(i % channels);
    store(step.step.output, i, 1, &value);
  }
}

}  // namespace

std::int64_t image_scratch_bytes(const Node& node, const Shape& image, bool is_codes) {
  const bool is_norm = node.op == Op::group_norm || node.op == Op::batch_norm;
  constexpr auto kChannelBytes = static_cast<std::int64_t>(2 * sizeof(double) + 3 * sizeof(float));
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  if (node.op == Op::max_pool2d) return 2 * kFloat * padded_row(node, image);
  if (!is_norm) return 0;
  return kChannelBytes * with_spare(image[0]) + (is_codes ? kFloat * element_count(image) : 0);
}

void (*image_loop(Op op))(const EngineStep&) {
  switch (op) {
    case Op::max_pool2d:
    case Op::avg_pool2d:
      return pool;
    case Op::global_avg_pool:
      return global_average;
    case Op::group_norm:
    case Op::batch_norm:
      return norm;
    case Op::concat:
      return concat;
    case Op::channel_scale:
      return channel_scale;
    default:
      return nullptr;
  }
}

}  // namespace coppice::runtime
