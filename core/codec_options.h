#pragma once
// What a task says to a codec beside its name. Plain values.

#include <cstdint>  // for int64_t

namespace coppice {

struct CodecOptions {
  std::int64_t bits = 4;      // rotated: of a code, 1 to 8
  double fraction = 0.1;      // topk, stc: of the values, above 0 and at most 1
  std::int64_t levels = 256;  // qsgd, dadaquant: above zero, up to the update's length; 1 to 65536
  // rotated: bytes of a frame, within which every block has bits of its own; 0: `bits` for all.
  std::int64_t max_bytes = 0;

  friend bool operator==(const CodecOptions&, const CodecOptions&) = default;
};

}  // namespace coppice
