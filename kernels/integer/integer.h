#pragma once
// The products of inference: windows of activations and packed weights, and what becomes of the
// sums. Integers, 16-bit activations and 8-bit weights with 32-bit sums, are exact, so every
// instruction set gives the same codes: two products of a pair, each at most 255 * 127, are added
// in 32 bits, and the caller keeps all sums within them. Sums of bytes may leave them on the way,
// modulo 2^32. Floats differ in rounding.
// Nothing here owns memory; any thread may call, on arrays that nobody else writes.

#include <cstdint>  // for int64_t
#include <span>     // for span

namespace coppice::kernels {

// Output channels of a panel of weights; the last panel is as wide as what is left.
constexpr std::int64_t kPanelChannels = 16;
// A panel's rows are read in whole registers: behind the last weight this many bytes can be read.
constexpr std::int64_t kSpareWeightBytes = 64;
// So are, by channel, biases and multipliers: behind the last one this many others can be read.
constexpr std::int64_t kSpareChannels = 16;

// Outputs of neighbouring pixels, all channels each. A pixel's window is `runs` stretches of
// activations (the rows of a convolution's window; a matrix has one).
struct Product {
  std::int64_t pixel_step = 0;  // activations from a pixel's window to the next one's
  std::int64_t pixels = 0;
  std::int64_t runs = 1;
  std::int64_t run_step = 0;  // activations from a run to the next one
  std::int64_t steps = 0;  // pairs of activations in a run, or single fp32 ones; of an odd number
                           // the last is followed by one that can be read and has weight 0
  std::int64_t channels = 0;
  // Either codes or values are written, [pixel][channel]:
  //   code = clamp(round_half_even(scaled) + zero_point, low, high)
  std::uint8_t* codes = nullptr;
  float* values = nullptr;
  int zero_point = 0;
  int low_code = 0;
  int high_code = 255;
};

struct IntegerProduct : Product {
  const std::int16_t* input = nullptr;  // code - zero point; of the first pixel's window
  // Of byte_product() alone, in place of `input`: the codes; three more behind the last one can be
  // read. `bias` then has what the zero point adds to the sum: - zero point * sum of weights.
  const std::uint8_t* bytes = nullptr;
  int bits = 8;                          // of weights; of 4, a pair is one byte, its first one low
  const std::int8_t* weights = nullptr;  // [panel][run][pair][channel of the panel][2]
  const std::int32_t* bias = nullptr;
  const float* multipliers = nullptr;  // scaled, and the value = float(sum + bias) * multiplier
};

// The same with weights in 4x4 blocks, those that are not all zero. `runs`, `run_step` and `steps`
// are not read; four activations from any offset can be.
struct BlockProduct : IntegerProduct {
  // weights: [block][output channel][input channel], four channels' blocks after four's.
  const std::uint16_t* counts = nullptr;  // blocks of each four output channels
  const std::int32_t* offsets = nullptr;  // of each block: activations from the window's first
};

// Every channel by itself. `runs`, `run_step` and `steps` are not read.
struct DepthwiseProduct : IntegerProduct {
  // weights: [pair of taps][channel][2]
  std::int64_t taps = 0;
  const std::int32_t* offsets = nullptr;  // of each tap: activations from the window's first; one
                                          // more behind an odd number, anywhere
};

struct FloatProduct : Product {
  const float* input = nullptr;
  const float* weights = nullptr;  // [panel][run][step][channel of the panel]
  const float* bias = nullptr;     // value = sum + bias
  float scale = 1.0F;              // scaled = value / scale
};

// value = (input - mean) * factor + bias by channel, rounded after each; `runs`, `run_step`,
// `steps` and `pixel_step` are not read.
struct Affine : Product {
  const float* input = nullptr;  // [pixel][channel]; may be `values`
  const float* means = nullptr;
  const float* factors = nullptr;
  const float* bias = nullptr;
  float scale = 1.0F;  // scaled = value / scale
};

// Of every channel over all pixels of [pixel][channel]; rounded to doubles in any order.
struct Moments {
  const float* input = nullptr;
  std::int64_t pixels = 0;
  std::int64_t channels = 0;
  double* sums = nullptr;
  double* squares = nullptr;
};

// code = clamp(round_half_even(value / scale) + zero_point, low, high)
struct Quantization {
  const float* values = nullptr;
  std::int64_t count = 0;
  float scale = 1.0F;
  int zero_point = 0;
  int low_code = 0;
  int high_code = 255;
  std::uint8_t* codes = nullptr;
};

// The loops of one instruction set.
struct IntegerKernels {
  const char* isa;
  void (*product)(const IntegerProduct& task);
  void (*byte_product)(const IntegerProduct& task);  // null where product() is as fast
  void (*block_product)(const BlockProduct& task);
  void (*depthwise_product)(const DepthwiseProduct& task);
  void (*float_product)(const FloatProduct& task);
  void (*affine)(const Affine& task);
  void (*moments)(const Moments& task);
  void (*quantize)(const Quantization& task);
};

// Those that this processor can run, the fastest first; "baseline" is always there.
std::span<const IntegerKernels* const> all_integer_kernels();

}  // namespace coppice::kernels
