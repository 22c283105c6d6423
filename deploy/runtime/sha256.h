#pragma once
// SHA-256 (FIPS 180-4) of bytes at hand, for files. The runtime stands alone, so it has its own.

#include <array>    // for array
#include <cstdint>  // for uint8_t
#include <span>     // for span

namespace coppice::runtime {

std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> bytes);

}  // namespace coppice::runtime
