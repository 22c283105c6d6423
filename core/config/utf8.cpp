#include "core/config/utf8.h"

#include <array>    // for array
#include <cstdint>  // for uint8_t

#include "core/text.h"

namespace coppice {
namespace {

// Bytes of the well-formed character that begins at `i`, or 0: RFC 3629, section 4.
std::size_t character_bytes(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) {
    return k < text.size() ? static_cast<std::uint8_t>(text[k]) : 0U;
  };
  const auto is_in = [&](std::size_t k, unsigned low, unsigned high) {
    return byte(k) >= low && byte(k) <= high;
  };
  const unsigned lead = byte(i);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return is_in(i + 1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool is_second_fine =
        is_in(i + 1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return is_second_fine && is_in(i + 2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool is_second_fine =
        is_in(i + 1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return is_second_fine && is_in(i + 2, 0x80, 0xBF) && is_in(i + 3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::optional<BadByte> first_bad_byte(std::string_view bytes) {
  BadByte place;
  for (std::size_t i = 0; i < bytes.size();) {
    const auto value = static_cast<std::uint8_t>(bytes[i]);
    const std::size_t length = character_bytes(bytes, i);
    if (length == 0) {
      place.message = text("byte 0x", hex(std::array{value}), " is not UTF-8 text");
      return place;
    }
    if ((value < 0x20 && value != '\t' && value != '\n' && value != '\r') || value == 0x7F) {
      place.message = text("control character 0x", hex(std::array{value}), " in text");
      return place;
    }
    if (value == '\n') {
      ++place.line;
      place.column = 1;
    } else {
      place.column += static_cast<int>(length);
    }
    i += length;
  }
  return std::nullopt;
}

}  // namespace coppice
