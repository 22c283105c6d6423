#pragma once
// Convolutions with channels innermost, [sample][row][column][channel]: lanes are channels, so that
// a small batch fills them. One table an instruction set, part of LaneKernels; the rules of lanes.h
// hold. Gradients skip the zeros of the output's gradient: behind a ReLU half of it, behind a
// maximum over 2 x 2 three in four.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

// Sizes of a convolution whose windows all lie inside the input: the caller pads.
struct ChannelConvolution {
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;  // a multiple of lanes
  std::int64_t in_rows = 1;
  std::int64_t in_columns = 1;
  std::int64_t out_rows = 1;
  std::int64_t out_columns = 1;
  std::int64_t taps_y = 1;
  std::int64_t taps_x = 1;
  std::int64_t step_y = 1;
  std::int64_t step_x = 1;

  std::int64_t in_row() const { return in_columns * in_channels; }
  std::int64_t in_floats() const { return in_rows * in_row(); }
  std::int64_t out_row() const { return out_columns * out_channels; }
  std::int64_t out_floats() const { return out_rows * out_row(); }
  std::int64_t line() const { return taps_x * in_channels; }  // a row of a window
  std::int64_t window() const { return taps_y * line(); }
};

// Where gradients by input and weights find what is not zero; the caller's memory, contents of no
// meaning before and after. Each array has list_size() entries.
struct NonZeroLists {
  float* by_position;
  float* by_channel;
  std::int32_t* channels;   // of by_position
  std::int32_t* positions;  // of by_channel
};

struct ChannelGradient {
  const float* in = nullptr;              // [samples], padded
  const float* out_gradient = nullptr;    // [samples]; with winners: of the maxima
  const std::int32_t* winners = nullptr;  // as from convolve_and_pool(); null: there are no maxima
  const float* windows = nullptr;         // the weights, [out][taps_y][taps_x][in]
  float* windows_gradient = nullptr;      // likewise, added to
  float* in_gradient = nullptr;           // [samples], padded, added to; null: not wanted
  std::int64_t samples = 0;
  NonZeroLists lists = {};
};

struct ChannelKernels {
  // Weights [out][in][taps_y][taps_x] as convolve() reads them, and as [out][taps_y][taps_x][in];
  // gradients, those of lines [taps_y][taps_x][in][out], back and added.
  void (*pack_tiles)(const ChannelConvolution&, const float* weights, float* tiles);
  void (*pack_windows)(const ChannelConvolution&, const float* weights, float* windows);
  void (*add_lines)(const ChannelConvolution&, const float* lines, float* gradient);
  void (*add_windows)(const ChannelConvolution&, const float* windows, float* gradient);

  // `bias` may be null and need not be aligned.
  void (*convolve)(const ChannelConvolution&, const float* in, const float* tiles,
                   const float* bias, bool has_relu, std::int64_t samples, float* out);
  // The maxima of the outputs over 2 x 2, whose rows and columns are even, and which of the four it
  // was: row * 2 + column, the first of equals. `rows`: room for two rows of outputs.
  void (*convolve_and_pool)(const ChannelConvolution&, const float* in, const float* tiles,
                            const float* bias, bool has_relu, std::int64_t samples, float* rows,
                            float* out, std::int32_t* winners);
  // lines_gradient = the sum over samples and positions; for any number of input channels.
  void (*line_gradient)(const ChannelConvolution&, const float* in, const float* out_gradient,
                        std::int64_t samples, float* lines_gradient);
  // For input channels that are a multiple of lanes.
  void (*gradient)(const ChannelConvolution&, const ChannelGradient&);
  std::int64_t (*list_size)(const ChannelConvolution&);

  // gradient[channel] += the sum over rows of [rows][channels]; channels a multiple of lanes.
  void (*sum_rows)(const float* values, std::int64_t rows, std::int64_t channels, float* gradient);
};

}  // namespace coppice::kernels
