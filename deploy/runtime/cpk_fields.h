#pragma once
// Numbers that the writer and the reader of a .cpk share; docs/formats.md explains them. Internal.

#include <cstddef>  // for size_t
#include <cstdint>  // for uint8_t

namespace coppice::runtime {

constexpr std::uint8_t kCpkMagic[4] = {'C', 'P', 'K', 'M'};
constexpr std::size_t kDigestBytes = 32;

// Of a node's flags; the other bits are zero.
constexpr std::uint8_t kHasGrid = 1U << 0U;
constexpr std::uint8_t kListsInputs = 1U << 1U;  // else: the node before
constexpr std::uint8_t kHasBias = 1U << 2U;
constexpr std::uint8_t kShortBias = 1U << 3U;  // bias codes of 16 bits instead of 32
constexpr std::uint8_t kWeightWidthShift = 4;  // two bits: 0 fp32, 1 8 bits, 2 4 bits
constexpr std::uint8_t kWeightWidthMask = 3U << kWeightWidthShift;
constexpr std::uint8_t kLayoutShift = 6;  // two bits: of weights, in the order of Layout

// How codes of weights are stored; the other bits are zero.
constexpr std::uint8_t kIsCoded = 1U << 0U;      // in the range coder's form, behind the body
constexpr std::uint8_t kShortScales = 1U << 1U;  // the upper 16 bits of each
constexpr std::uint32_t kLowerHalf = 0x8000;     // the lower ones of all short scales

}  // namespace coppice::runtime
