#pragma once
// Checks that bytes are printable UTF-8 text, so that no parser behind it has to. Pure; any thread
// may call it.

#include <optional>     // for optional
#include <string>       // for string
#include <string_view>  // for string_view

namespace coppice {

struct BadByte {
  int line = 1;    // from 1
  int column = 1;  // from 1, in bytes
  std::string message;
};

// The first of `bytes` that is not part of well-formed UTF-8 (RFC 3629), or that is a control
// character other than tab, line feed and carriage return.
std::optional<BadByte> first_bad_byte(std::string_view bytes);

}  // namespace coppice
