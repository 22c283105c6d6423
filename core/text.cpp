#include "core/text.h"

#include <algorithm>  // for min, min_element
#include <array>      // for array
#include <iomanip>    // for setprecision
#include <numeric>    // for iota

namespace coppice {
namespace {

template <typename Part>
std::string join_parts(std::span<const Part> parts, std::string_view separator) {
  std::ostringstream out;
  for (std::size_t i = 0; i < parts.size(); ++i) out << (i == 0 ? "" : separator) << parts[i];
  return std::move(out).str();
}

// Levenshtein distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string join(std::span<const std::string> parts, std::string_view separator) {
  return join_parts(parts, separator);
}
std::string join(std::span<const std::string_view> parts, std::string_view separator) {
  return join_parts(parts, separator);
}
std::string join(std::span<const std::int64_t> parts, std::string_view separator) {
  return join_parts(parts, separator);
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known) {
  if (known.empty()) return {};
  return *std::min_element(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
    return edit_distance(a, name) < edit_distance(b, name);
  });
}

std::string unknown_name(std::string_view what, std::string_view name,
                         std::span<const std::string_view> known) {
  // A name taken from hostile bytes may be long: quote its beginning only.
  const std::string_view shown = name.substr(0, 64);
  return text("unknown ", what, " '", shown, "'; did you mean '", nearest_name(shown, known),
              "'? known: ", join(known));
}

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 1000.0 && unit + 1 < kUnits.size()) {
    bytes /= 1000.0;
    ++unit;
  }
  std::ostringstream out;
  out << std::fixed
      << std::setprecision(unit == 0    ? 0
                           : bytes < 10 ? 2
                                        : 1)
      << bytes << ' ' << kUnits[unit];
  return std::move(out).str();
}

std::string hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

}  // namespace coppice
