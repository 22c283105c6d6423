#pragma once
// Loops of a training step over "lanes": arrays with the samples of a batch innermost. A chunk is
// one register's width of samples; its activations are [channels][height][width][lanes], so every
// loop is the scalar formula with a register in the place of a number, whatever the channel counts,
// and a partial batch is a chunk whose last lanes are nobody's. Vectors are images of 1 x 1.
//
// Built once for AVX-512 (16 lanes), AVX2 with FMA (8) and the build's baseline (4); the sums of
// different widths round differently. Nothing here allocates, owns memory or depends on anything
// but its arguments; any thread may call on its own arrays. Pointers to lanes are aligned to a
// register; strides are in floats. Non-finite values travel through.

#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string_view>  // for string_view

#include "kernels/lanes/channels.h"

namespace coppice::kernels {

// How the outputs of a product see its inputs along one axis: output p and tap t meet at input
// p * step + origin + t * tap_step, and those outside [0, inputs) do not count.
struct WindowAxis {
  std::int64_t outputs = 1;
  std::int64_t inputs = 1;
  std::int64_t step = 1;
  std::int64_t tap_step = 1;  // 1, or -1: the gradient of an input
  std::int64_t origin = 0;
  std::int64_t taps = 1;
};

// Strides of an image of lanes.
struct ImageStrides {
  std::int64_t channel = 0;
  std::int64_t row = 0;
  std::int64_t column = 0;
};

// out[o][y][x] = bias[o] + sum over i, ty, tx of weight[o][i][ty][tx] * in[i][y at ty][x at tx]:
// convolutions, matrix products (an "x" is then a chunk) and the gradients of both by their input.
struct LaneProduct {
  const float* in = nullptr;  // at (0, 0, 0); along x, what lies outside is read and must be zero
  const float* weights = nullptr;
  const float* bias = nullptr;  // null: zeros
  float* out = nullptr;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  WindowAxis y;
  WindowAxis x;
  ImageStrides in_strides;
  ImageStrides out_strides;
  std::int64_t weight_out = 0;  // floats from one output channel's weights to the next one's
  std::int64_t weight_in = 0;
  std::int64_t weight_y = 0;
  std::int64_t weight_x = 0;
  bool accumulates = false;  // adds to what stands in out, which replaces the bias
  bool has_relu = false;     // max(0, .) at the end
};

// gradient[o][i][ty][tx] += sum over chunks, y, x and lanes of out_gradient * in, as above.
struct LaneWeightGradient {
  const float* in = nullptr;
  const float* out_gradient = nullptr;
  float* gradient = nullptr;  // [out_channels][in_channels][y.taps][x.taps], not lanes
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  WindowAxis y;
  WindowAxis x;
  ImageStrides in_strides;
  ImageStrides out_strides;
  std::int64_t chunks = 1;
  std::int64_t in_chunk = 0;
  std::int64_t out_chunk = 0;
};

// gradient[o][i] = sum over samples n of out_rows[n][o] * in_rows[n][i], for weight matrices: lanes
// of weights instead of lanes of samples.
struct RowsWeightGradient {
  // [samples][row_pitch], not lanes, of any alignment; the pitch is a multiple of 2 lanes and its
  // rest any finite value
  const float* in_rows = nullptr;
  std::int64_t row_pitch = 0;
  const float* out_rows = nullptr;  // [samples][out_channels], not lanes: the output's gradient
  float* gradient = nullptr;        // [out_channels][gradient_pitch]
  std::int64_t gradient_pitch = 0;
  std::int64_t samples = 0;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  bool accumulates = true;
};

// Pooling of `channels` images; windows are those of a product, positions outside never count in a
// maximum and are zeros in an average over all taps.
struct LanePool {
  std::int64_t channels = 1;
  WindowAxis y;
  WindowAxis x;
  ImageStrides in_strides;  // together the images have no gaps
  ImageStrides out_strides;
};

// Groups of `group_size` channels of `area` positions (Wu & He 2018).
struct LaneGroupNorm {
  std::int64_t groups = 1;
  std::int64_t group_size = 1;
  std::int64_t area = 1;
  float epsilon = 1e-5F;
};

// Values on integers' grid: round(x / scale) half to even, kept within [lowest, highest].
struct LaneGrid {
  float scale = 1.0F;
  float lowest = 0.0F;
  float highest = 255.0F;
};

// One instruction set's loops. `n` counts registers (elements of one chunk); "accumulates" adds to
// the destination instead of overwriting it.
struct LaneKernels {
  std::string_view isa;
  std::int64_t lanes;

  void (*product)(const LaneProduct&);
  void (*weight_gradient)(const LaneWeightGradient&);
  void (*rows_weight_gradient)(const RowsWeightGradient&);
  // gradient[c] += the sum over area and lanes, each channel.
  void (*channel_sums)(const float* values, std::int64_t channels, std::int64_t area,
                       float* gradient);
  // Copies [rows][columns] lanes into rows that are `left` and `right` zeros longer.
  void (*pad_columns)(const float* in, std::int64_t rows, std::int64_t columns, std::int64_t left,
                      std::int64_t right, float* out);
  // out[c][r] = in[r][c] of registers.
  void (*transpose)(const float* in, std::int64_t rows, std::int64_t columns, float* out);
  // rows[sample * pitch + element] of the first `samples` lanes, and back; other lanes become zero.
  void (*to_rows)(const float* lanes, std::int64_t n, std::int64_t samples, float* rows,
                  std::int64_t pitch);
  void (*from_rows)(const float* rows, std::int64_t pitch, std::int64_t samples, std::int64_t n,
                    float* lanes);

  void (*normalize)(const float* in, std::int64_t n, float mean, float deviation, float* out);
  // min(max(x, slope * x), highest): slope 0 is ReLU.
  void (*rectify)(const float* in, std::int64_t n, float slope, float highest, float* out);
  // Gradient by its input, from its output.
  void (*rectify_gradient)(const float* out, const float* out_gradient, std::int64_t n, float slope,
                           float highest, bool accumulates, float* in_gradient);
  void (*add)(const float* a, const float* b, std::int64_t n, bool has_relu, float* out);
  void (*multiply)(const float* a, const float* b, std::int64_t n, bool accumulates, float* out);
  void (*copy)(const float* in, std::int64_t n, bool accumulates, float* out);
  // in / divisor.
  void (*divide)(const float* in, std::int64_t n, float divisor, bool accumulates, float* out);
  void (*to_grid)(const float* in, std::int64_t n, const LaneGrid& grid, float* out);
  // Straight through where the value does not saturate.
  void (*to_grid_gradient)(const float* in, const float* out_gradient, std::int64_t n,
                           const LaneGrid& grid, bool accumulates, float* in_gradient);

  void (*max_pool)(const LanePool&, const float* in, float* out);
  // To the first position that holds the maximum.
  void (*max_pool_gradient)(const LanePool&, const float* in, const float* out,
                            const float* out_gradient, bool accumulates, float* in_gradient);
  void (*average_pool)(const LanePool&, const float* in, float* out);
  void (*average_pool_gradient)(const LanePool&, const float* out_gradient, bool accumulates,
                                float* in_gradient);

  // What stands in for values until the backward pass: fields of `bits` bits, 32 / bits of them in
  // a word, a word a lane; words hold registers, rounded up. `words` is aligned to a register.
  //
  // A field of one bit: whether a value lies above `low` and below `high`, as NaN does.
  void (*pack_between)(const float* in, std::int64_t n, float low, float high,
                       std::uint32_t* words);
  // The gradient where the bit is set, `slope` times it elsewhere.
  void (*pass_between)(const std::uint32_t* words, const float* out_gradient, std::int64_t n,
                       float slope, bool accumulates, float* in_gradient);
  // Fields of eight: lowest + code * step is a value's nearest, with the lowest of each lane and
  // 1/255 of its range in `bounds`, two registers. A lane that has a value that is not finite gives
  // back NaN.
  void (*to_codes)(const float* in, std::int64_t n, float* bounds, std::uint32_t* words);
  void (*from_codes)(const std::uint32_t* words, const float* bounds, std::int64_t n, float* out);
  // Which position of its window, from 0 and row by row of what lies in the image, each maximum is
  // the first of: `bits` can count them. Output registers are contiguous from `out`.
  void (*max_pool_winners)(const LanePool&, const float* in, const float* out, std::int64_t bits,
                           std::uint32_t* words);
  void (*max_pool_gradient_to)(const LanePool&, const std::uint32_t* words, std::int64_t bits,
                               const float* out_gradient, bool accumulates, float* in_gradient);

  // `statistics`: mean and 1 / deviation of each group, 2 * groups registers.
  void (*group_norm)(const LaneGroupNorm&, const float* in, const float* weight, const float* bias,
                     bool has_relu, float* statistics, float* out);
  // weight_gradient and bias_gradient += their sums (not lanes).
  void (*group_norm_gradient)(const LaneGroupNorm&, const float* in, const float* weight,
                              const float* statistics, const float* out_gradient, bool accumulates,
                              float* in_gradient, float* weight_gradient, float* bias_gradient);

  ChannelKernels channels;
};

// The widest set that this CPU has; the same one for the life of a process.
const LaneKernels& lane_kernels();
// AVX2's in the place of AVX-512's where so few samples leave half of its lanes empty; otherwise
// `kernels`.
const LaneKernels& lane_kernels_for(const LaneKernels& kernels, std::int64_t samples);
// All that this CPU can run, the widest first.
std::span<const LaneKernels* const> all_lane_kernels();

}  // namespace coppice::kernels
