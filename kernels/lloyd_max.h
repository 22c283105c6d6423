#pragma once
// The quantizers of least mean squared error for standard normal values, of 1 to 8 bits (Max 1960;
// Lloyd 1982): every boundary lies midway between two levels, every level is the mean of what falls
// to it. They are symmetric. A code is twice the level's place among the positive ones, plus 1 for
// its negative. Nothing here owns memory; any thread may call.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

inline constexpr int kMaxNormalBits = 8;

// The positive levels, ascending: 2^(bits - 1) of them.
const float* normal_levels(int bits);

// The code of the level nearest to values[i] * factor, and that level. The products must be finite.
void quantize_normal(const float* values, float factor, int bits, std::int64_t n,
                     std::uint8_t* codes, float* levels);

// The levels of codes, all of which must be below 2^bits.
void normal_levels_of(const std::uint8_t* codes, int bits, std::int64_t n, float* levels);

}  // namespace coppice::kernels
