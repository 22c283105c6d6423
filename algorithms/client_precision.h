#pragma once
// How precisely each client of a cohort quantizes its update, from its share of the samples and
// from how the loss goes. Pure functions of plain values; any thread.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/codec_options.h"

namespace coppice {

// Levels that double while the loss stalls (Hoenig et al. 2022, DAdaQuant, equation 6). Whole
// numbers and floats, for a checkpoint keeps floats.
struct LevelSchedule {
  std::int64_t levels = 0;      // of the next round; 0: nothing is known yet
  std::int64_t unchanged = 0;   // rounds since they doubled last, or since the first
  std::vector<float> averages;  // exponential moving averages of the loss, the last one at the end

  friend bool operator==(const LevelSchedule&, const LevelSchedule&) = default;
};

inline constexpr double kLossMemory = 0.9;  // of the moving average, as in the paper

// The schedule after a round of mean training loss `loss`, which began with `first` levels: they
// double if the average is not below that of `window` rounds before, and have not changed for as
// many. The paper takes the loss of the model that is sent; this is the mean over the clients'
// local training, which costs no pass of its own. window >= 1.
LevelSchedule after_round(LevelSchedule schedule, double loss, std::int64_t first,
                          std::int64_t window);

// Levels of each client for which their sum is least while the variance of the weighted mean is
// that of `levels` for all: sqrt(a / b) p^(2/3), a = sum of p^(2/3), b = sum of p^2 / levels^2
// (DAdaQuant, equation 9), rounded, 1 to kMostLevels. p is the share of the weights, which
// are positive.
std::vector<std::int64_t> levels_by_weight(std::span<const std::int64_t> weights, double levels);

// Bits a value of each client, within [least, most] and `mean` on average, for which the variance
// of the weighted mean is least: the error of b bits falls like 4^-b and counts p^2 times, so b =
// log2(p) + a constant where the limits allow it. DAdaQuant's p^(2/3) is for a sum of levels; bytes
// follow bits, their logarithm. `mean` is brought within the limits.
std::vector<double> bits_by_weight(std::span<const std::int64_t> weights, double mean, double least,
                                   double most);

}  // namespace coppice
