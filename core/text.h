#pragma once
// Small text functions for messages and tables. Pure; any thread may call them.

#include <cstdint>      // for int64_t
#include <span>         // for span
#include <sstream>      // for ostringstream
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

// All arguments streamed one after the other: text("expected ", 3, ", got ", n).
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

// "a, b, c" with `separator` between the parts.
std::string join(std::span<const std::string> parts, std::string_view separator = ", ");
std::string join(std::span<const std::string_view> parts, std::string_view separator = ", ");
std::string join(std::span<const std::int64_t> parts, std::string_view separator = ", ");

// The member of `known` with the smallest Levenshtein distance to `name`; empty if `known` is.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

// "unknown strategy 'fedporx'; did you mean 'fedprox'? known: fedavg, fedprox"
std::string unknown_name(std::string_view what, std::string_view name,
                         std::span<const std::string_view> known);

// "177.7 kB", "1.24 MB": decimal multiples, as data sheets count.
std::string human_bytes(double bytes);

// Lower-case hexadecimal digits of `bytes`.
std::string hex(std::span<const std::uint8_t> bytes);

}  // namespace coppice
