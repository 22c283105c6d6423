#pragma once
// What others need to know of the rotated codec's frames. Pure.

#include <cstdint>  // for int64_t

namespace coppice {

// Bytes of a frame of `count` values whose blocks have bits of their own, `bits` of them each.
std::int64_t rotated_frame_bytes(std::int64_t count, std::int64_t bits);

}  // namespace coppice
