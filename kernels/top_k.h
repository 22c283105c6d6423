#pragma once
// Which values are the k of largest magnitude, without sorting: three histograms of the bits of
// |x| (11, 10 and 10 of them) find the k-th largest exactly. Reads the array three times; owns
// nothing; any thread may call.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

// Chosen are all values with magnitude_bits() above `threshold`, and of those equal to it the first
// `ties` by position, k in all.
struct TopK {
  std::uint32_t threshold = 0;
  std::int64_t ties = 0;
};

// The order of magnitudes is that of these bits.
std::uint32_t magnitude_bits(float value);

// Values must be finite and 1 <= k <= n < 2^32.
TopK top_k(const float* values, std::int64_t n, std::int64_t k);

// Writes the positions of the chosen values, ascending: k of them, in room for k + 1.
void top_k_positions(const float* values, std::int64_t n, TopK top, std::uint32_t* positions);

}  // namespace coppice::kernels
