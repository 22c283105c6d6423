#pragma once
// How many bits each block of a rotated update gets when their bytes are limited. Pure; any thread.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

inline constexpr std::uint8_t kMostBlockBits = 8;

struct BlockShare {
  double square = 0.0;  // of the block's length
  std::size_t codes = 0;
};

// Reverse water-filling in whole bits: the bits of each block, 1 to 8 and 0 for a block of zeros,
// for which the sum of squared errors is least among those whose codes take at most `max_bytes`.
// The error of b bits is D / (1 - D) of the square, D the distortion of the best quantizer (Max
// 1960), and falls by less with every further bit: so bits are given one by one, each where a byte
// takes most away, and the result is off the best by less than what the last bytes could buy. Of
// equal blocks the first is served first. Fewer bytes than one bit a value takes give one bit.
std::vector<std::uint8_t> bits_within(std::span<const BlockShare> blocks, std::size_t max_bytes);

}  // namespace coppice
