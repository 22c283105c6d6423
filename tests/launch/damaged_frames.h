#pragma once
// Frames with every byte changed in turn, and cut at every byte.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "core/error.h"

namespace coppice {

template <typename Decode>
void expect_damage_is_refused(const std::vector<std::uint8_t>& bytes, Decode decode) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::vector<std::uint8_t> bad = bytes;
    bad[at] ^= 0x20U;
    EXPECT_THROW(decode(bad), WireError) << at;
    bad = bytes;
    bad.resize(at);
    EXPECT_THROW(decode(bad), WireError) << at;
  }
}

}  // namespace coppice
