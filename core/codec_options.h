#pragma once
// What a task says to a codec beside its name. Plain values.

#include <cstdint>  // for int64_t

namespace coppice {

inline constexpr std::int64_t kMostLevels = 65536;

struct CodecOptions {
  std::int64_t bits = 4;      // rotated: of a code, 1 to 8
  double fraction = 0.1;      // topk, stc: of the values, above 0 and at most 1
  std::int64_t levels = 256;  // qsgd, dadaquant: above zero, up to the update's length
  // rotated, qsgd: of a frame. rotated then gives every block bits of its own and qsgd takes the
  // most levels that fit; 0: `bits` or `levels` for all.
  std::int64_t max_bytes = 0;

  friend bool operator==(const CodecOptions&, const CodecOptions&) = default;
};

}  // namespace coppice
