#include "core/config/values.h"

#include <algorithm>     // for equal
#include <array>         // for array
#include <charconv>      // for from_chars, to_chars
#include <cmath>         // for isfinite, floor, trunc
#include <system_error>  // for errc

#include "core/config/utf8.h"

namespace coppice {
namespace {

template <typename T>
std::optional<T> parse_all(std::string_view digits) {
  T value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

struct Unit {
  std::string_view name;
  double factor;
};

// "1.5 MB" with units {"MB", 1e6} is 1.5e6; nothing if it is not a finite number followed by one of
// the units.
std::optional<double> parse_with_unit(const YamlNode& node, std::span<const Unit> units) {
  if (node.kind != YamlKind::kScalar) return std::nullopt;
  const std::size_t begin = node.text.find_first_not_of("0123456789.");
  const std::string_view all = node.text;
  const std::string_view number = all.substr(0, begin);
  std::string_view name = begin == std::string::npos ? "" : all.substr(begin);
  if (name.starts_with(' ')) name.remove_prefix(1);
  const std::optional<double> value = parse_all<double>(number);
  if (!value) return std::nullopt;
  for (const Unit& unit : units) {
    if (name == unit.name && std::isfinite(*value * unit.factor)) return *value * unit.factor;
  }
  return std::nullopt;
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Whether `value` needs no quotes anywhere in YAML, and no YAML reader takes it for a number, a
// truth value or null.
bool is_plain_word(std::string_view value) {
  if (value.empty() || !is_letter_or_digit(value[0]) || (value[0] >= '0' && value[0] <= '9'))
    return false;
  for (const char c : value) {
    if (!is_letter_or_digit(c) && c != '_' && c != '-' && c != '.' && c != '/') return false;
  }
  constexpr std::array<std::string_view, 10> kReserved{"null", "true", "false", "yes", "no",
                                                       "on",   "off",  "y",     "n",   "nan"};
  for (const std::string_view word : kReserved) {
    const auto equals = [](char a, char b) { return (a | 0x20) == b; };
    if (std::equal(value.begin(), value.end(), word.begin(), word.end(), equals)) return false;
  }
  return true;
}

}  // namespace

std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlKind::kNull:
      return "nothing";
    case YamlKind::kList:
      return "a list";
    case YamlKind::kMap:
      return "a map";
    case YamlKind::kScalar:
      break;
  }
  const std::string beginning = node.text.size() > 64 ? node.text.substr(0, 64) + "..." : node.text;
  return node.is_quoted ? text("the text \"", beginning, '"') : text('\'', beginning, '\'');
}

void refuse(const YamlNode& node, std::string_view what) {
  throw YamlError(node.mark, text("expected ", what, ", got ", shown(node)));
}

std::string number_text(double value) {
  std::array<char, 32> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), error == std::errc() ? end : digits.data()};
}

std::string quoted_if_needed(std::string_view value) {
  if (is_plain_word(value)) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

template <std::integral T>
std::optional<T> parse_whole(const YamlNode& node) {
  if (node.kind != YamlKind::kScalar || node.is_quoted) return std::nullopt;
  return parse_all<T>(node.text);
}
template std::optional<std::int64_t> parse_whole(const YamlNode& node);
template std::optional<std::uint64_t> parse_whole(const YamlNode& node);

std::optional<double> parse_real(const YamlNode& node) {
  if (node.kind != YamlKind::kScalar || node.is_quoted) return std::nullopt;
  const std::optional<double> value = parse_all<double>(node.text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::string RealNumber::describe() const {
  if (at_least && at_most) return text("a number from ", *at_least, " to ", *at_most);
  std::vector<std::string> bounds;
  if (above) bounds.push_back(text("above ", *above));
  if (at_least) bounds.push_back(text("at least ", *at_least));
  if (below) bounds.push_back(text("below ", *below));
  if (at_most) bounds.push_back(text("at most ", *at_most));
  return bounds.empty() ? "a number" : "a number " + join(bounds);
}

double RealNumber::read(const YamlNode& node) const {
  const std::optional<double> value = parse_real(node);
  const bool is_inside = value && !(above && *value <= *above) &&
                         !(at_least && *value < *at_least) && !(below && *value >= *below) &&
                         !(at_most && *value > *at_most);
  if (!is_inside) refuse(node, describe());
  return *value;
}

bool TrueOrFalse::read(const YamlNode& node) const {
  if (node.kind != YamlKind::kScalar || node.is_quoted ||
      (node.text != "true" && node.text != "false")) {
    refuse(node, describe());
  }
  return node.text == "true";
}

std::string Text::read(const YamlNode& node) const {
  if (node.kind != YamlKind::kScalar) refuse(node, "text");
  if (node.text.size() > max) {
    throw YamlError(node.mark,
                    text("expected text of at most ", max, " bytes, got ", node.text.size()));
  }
  // A quoted text may bring in through escapes what the file itself may not hold.
  const auto bad = first_bad_byte(node.text);
  if (bad || node.text.find_first_of("\n\r\t") != std::string::npos) {
    throw YamlError(node.mark, "expected one line of text without control characters");
  }
  return node.text;
}

std::string Label::read(const YamlNode& node) const {
  std::string word = Text{100}.read(node);
  bool is_fine = !word.empty() && is_letter_or_digit(word[0]);
  for (const char c : word)
    is_fine = is_fine && (is_letter_or_digit(c) || c == '.' || c == '_' || c == '-');
  if (!is_fine) refuse(node, describe());
  return word;
}

std::int64_t Bytes::read(const YamlNode& node) const {
  constexpr std::array<Unit, 9> kUnits{{{"", 1},
                                        {"B", 1},
                                        {"kB", 1e3},
                                        {"KB", 1e3},
                                        {"MB", 1e6},
                                        {"GB", 1e9},
                                        {"KiB", 1024},
                                        {"MiB", 1048576},
                                        {"GiB", 1073741824}}};
  const std::optional<double> bytes = parse_with_unit(node, kUnits);
  if (!bytes || *bytes < 1 || *bytes > 0x1p50) refuse(node, describe());
  return static_cast<std::int64_t>(std::floor(*bytes));
}

std::string Bytes::write(std::int64_t bytes) const {
  constexpr std::int64_t kKiB = 1024;
  if (bytes % (kKiB * kKiB) == 0) return text(bytes / (kKiB * kKiB), "MiB");
  return bytes % kKiB == 0 ? text(bytes / kKiB, "KiB") : text(bytes);
}

double Duration::read(const YamlNode& node) const {
  constexpr std::array<Unit, 4> kUnits{{{"ns", 1e-3}, {"us", 1}, {"ms", 1e3}, {"s", 1e6}}};
  const std::optional<double> microseconds = parse_with_unit(node, kUnits);
  if (!microseconds || *microseconds < 1e-3 || *microseconds > 1e12) refuse(node, describe());
  return *microseconds;
}

std::string Duration::write(double microseconds) const {
  for (const auto& [unit, factor] : {Unit{"s", 1e6}, Unit{"ms", 1e3}}) {
    const double count = std::trunc(microseconds / factor);
    if (count * factor == microseconds) return text(static_cast<std::int64_t>(count), unit);
  }
  std::array<char, 64> digits{};  // no exponent: a unit follows
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(),
                                          microseconds, std::chars_format::fixed);
  if (error != std::errc())
    throw ConfigError(text("a duration of ", microseconds, " us cannot be written"));
  return std::string(digits.data(), end) + "us";
}

std::vector<std::int64_t> IntegerList::read(const YamlNode& node) const {
  if (node.kind != YamlKind::kList || node.children.size() > max_size) refuse(node, describe());
  const WholeNumber<std::int64_t> item{min, max};
  std::vector<std::int64_t> values;
  for (const YamlNode& child : node.children) values.push_back(item.read(child));
  return values;
}

std::vector<double> RealList::read(const YamlNode& node) const {
  if (node.kind != YamlKind::kList || node.children.size() > max_size) refuse(node, describe());
  std::vector<double> values;
  for (const YamlNode& child : node.children) values.push_back(item.read(child));
  return values;
}

std::string RealList::write(const std::vector<double>& values) const {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const double value : values) texts.push_back(number_text(value));
  return text('[', join(texts), ']');
}

}  // namespace coppice
