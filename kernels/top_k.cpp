#include "kernels/top_k.h"

#include <algorithm>  // for min
#include <bit>        // for bit_cast

namespace coppice::kernels {
namespace {

constexpr std::uint32_t kBins = 1U << 11U;

// Of 31 bits the first 11, the next 10, the last 10.
struct Digit {
  std::uint32_t shift;
  std::uint32_t bits;
};
constexpr Digit kDigits[] = {{20, 11}, {10, 10}, {0, 10}};

inline std::uint32_t bits_of(float value) {
  return std::bit_cast<std::uint32_t>(value) & 0x7FFFFFFFU;
}

// Counts the digit of every value whose higher bits are `prefix`. Neighbours often have the same
// digit, and one counter would then wait for itself: four take turns.
void count(const float* values, std::int64_t n, Digit digit, std::uint32_t prefix,
           std::uint32_t (&totals)[kBins]) {
  constexpr std::int64_t kTurns = 4;
  const std::uint32_t bins = 1U << digit.bits;
  const std::uint32_t first = prefix << digit.bits;
  std::uint32_t counts[kTurns][kBins + 1] = {};  // the last bin is for values elsewhere
  // Below the prefix the difference wraps around, above it it is too large: both without a branch.
  const auto bin_of = [=](float value) {
    return std::min((bits_of(value) >> digit.shift) - first, bins);
  };
  std::int64_t i = 0;
  for (; i + kTurns <= n; i += kTurns) {
    for (std::int64_t turn = 0; turn < kTurns; ++turn) ++counts[turn][bin_of(values[i + turn])];
  }
  for (; i < n; ++i) ++counts[0][bin_of(values[i])];
  for (std::uint32_t bin = 0; bin < bins; ++bin) {
    totals[bin] = 0;
    for (const auto& turn : counts) totals[bin] += turn[bin];
  }
}

}  // namespace

std::uint32_t magnitude_bits(float value) { return bits_of(value); }

TopK top_k(const float* values, std::int64_t n, std::int64_t k) {
  std::uint32_t totals[kBins];
  TopK top{.threshold = 0, .ties = k};
  for (const Digit digit : kDigits) {
    count(values, n, digit, top.threshold, totals);
    std::uint32_t bin = (1U << digit.bits) - 1U;
    for (; totals[bin] < top.ties; --bin) top.ties -= totals[bin];
    top.threshold = (top.threshold << digit.bits) | bin;
  }
  return top;
}

void top_k_positions(const float* values, std::int64_t n, TopK top, std::uint32_t* positions) {
  // Every position is written and most of them again: a branch would be guessed wrong too often.
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = bits_of(values[i]);
    const bool is_tie = bits == top.threshold;
    const bool is_chosen = bits > top.threshold || (is_tie && top.ties > 0);
    *positions = static_cast<std::uint32_t>(i);
    positions += is_chosen ? 1 : 0;
    top.ties -= is_tie ? 1 : 0;
  }
}

}  // namespace coppice::kernels
