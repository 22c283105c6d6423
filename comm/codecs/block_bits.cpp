#include "comm/codecs/block_bits.h"

#include <algorithm>  // for min
#include <queue>      // for priority_queue
#include <utility>    // for pair

namespace coppice {
namespace {

constexpr double relative_error(double distortion) { return distortion / (1.0 - distortion); }

// Of 1 to 8 bits (Max 1960, table I, with more digits).
constexpr double kErrors[kMostBlockBits] = {relative_error(0.363380),   relative_error(0.117482),
                                            relative_error(0.0345478),  relative_error(0.00950101),
                                            relative_error(0.00250467), relative_error(6.44240e-4),
                                            relative_error(1.63478e-4), relative_error(4.11851e-5)};

// What one bit more, after `bits`, takes from the squared error for each byte.
double gain(const BlockShare& block, std::uint8_t bits) {
  return (kErrors[bits - 1] - kErrors[bits]) * block.square / static_cast<double>(block.codes);
}

}  // namespace

std::vector<std::uint8_t> bits_within(std::span<const BlockShare> blocks, std::size_t max_bytes) {
  // The largest gain first; of equal ones the lowest index, kept as a negative number.
  std::priority_queue<std::pair<double, std::int64_t>> next;
  std::vector<std::uint8_t> bits(blocks.size());
  std::size_t left = max_bytes;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].square == 0.0) continue;
    bits[i] = 1;
    left -= std::min(left, blocks[i].codes / 8);
    next.emplace(gain(blocks[i], 1), -static_cast<std::int64_t>(i));
  }
  while (!next.empty()) {
    const auto i = static_cast<std::size_t>(-next.top().second);
    next.pop();
    if (blocks[i].codes / 8 > left) continue;  // another may be smaller
    left -= blocks[i].codes / 8;
    if (++bits[i] < kMostBlockBits)
      next.emplace(gain(blocks[i], bits[i]), -static_cast<std::int64_t>(i));
  }
  return bits;
}

}  // namespace coppice
