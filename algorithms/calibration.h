#pragma once
// Activation ranges from federated histograms: every client counts the outputs of the quantized
// nodes in the same fixed bins, the counts are summed exactly, and the server chooses each node's
// grid. Pure functions; any thread.

#include <array>    // for array
#include <cstdint>  // for int64_t
#include <span>     // for span
#include <string>   // for string

#include "core/quant_plan.h"
#include "core/task.h"

namespace coppice {

// Bins of one node (kHistogramBins): 256 for values below zero, then 256 for the others, each by
// magnitude, eight an octave from 2^-20 to 2^12. Smaller magnitudes are in the first, larger ones
// in the last.

// Which bin `value` is in; -1 if it is not finite.
std::int64_t histogram_bin(float value);

// The magnitudes that a bin covers, [lower, upper).
struct BinRange {
  double lower = 0.0;
  double upper = 0.0;
};
BinRange histogram_range(std::int64_t bin);

// Adds `values` to `counts` (kHistogramBins). Returns how many were not finite and left out.
std::int64_t count_values(std::span<const float> values, std::span<std::int64_t> counts);

// The 8-bit grid for what was counted: of a family of clipped ranges [low, high], low <= 0 <= high,
// the one with the least mean squared error of rounding and clipping. Scale 1 / 255, zero point 0
// if nothing was counted.
ActivationQuant activation_quant(const std::string& node, std::span<const std::int64_t> counts);

}  // namespace coppice
