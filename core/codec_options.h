#pragma once
// What a task says to a codec beside its name. Plain values.

#include <cstdint>  // for int64_t

namespace coppice {

struct CodecOptions {
  std::int64_t bits = 4;  // rotated: of a code, 1 to 8
  double fraction = 0.1;  // topk: of the values, above 0 and at most 1

  friend bool operator==(const CodecOptions&, const CodecOptions&) = default;
};

}  // namespace coppice
