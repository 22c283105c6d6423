#pragma once
// What the readers and writers of several messages share. Internal to the layer.

#include <cstddef>  // for size_t
#include <cstdint>  // for uint8_t

#include "comm/wire.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

// An enumerator up to and including `last`.
template <typename Enum>
Enum read_enum(WireReader& in, Enum last, const char* what) {
  const std::uint8_t value = in.u8();
  if (value > static_cast<std::uint8_t>(last))
    throw WireError(text(what, ": unknown value ", int{value}));
  return static_cast<Enum>(value);
}

// A count of items that take at least `least` bytes each.
inline std::size_t read_count(WireReader& in, std::size_t least, const char* what) {
  const std::uint64_t count = in.u64();
  if (count > in.left() / least)
    throw WireError(text(what, ": ", count, " items in ", in.left(), " bytes"));
  return static_cast<std::size_t>(count);
}

}  // namespace coppice
