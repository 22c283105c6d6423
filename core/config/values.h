#pragma once
// The types of values a config may hold. Each is a small struct with the same three functions:
//   describe()  what is expected, for the reference and for "expected ..., got ..."
//   read(node)  the value; throws YamlError at the node if it is not one
//   write(value)  YAML that read() turns into an equal value
// Pure; any thread may use them.

#include <concepts>     // for integral
#include <cstdint>      // for int64_t
#include <limits>       // for numeric_limits
#include <optional>     // for optional
#include <string>       // for string
#include <string_view>  // for string_view
#include <utility>      // for pair
#include <vector>       // for vector

#include "core/config/yaml_tree.h"
#include "core/text.h"

namespace coppice {

// What a node holds, for messages: 'ten', the text "5", a list, nothing.
std::string shown(const YamlNode& node);

// "expected <what>, got <the node>", at the node.
[[noreturn]] void refuse(const YamlNode& node, std::string_view what);

// The shortest decimal that reads back as the same double.
std::string number_text(double value);

// `value` as a YAML scalar: plain where no reader could take it for anything but text, else in
// double quotes.
std::string quoted_if_needed(std::string_view value);

// The whole of a plain scalar as a number; nothing if it is not one, does not fit or is not finite.
template <std::integral T>
std::optional<T> parse_whole(const YamlNode& node);
std::optional<double> parse_real(const YamlNode& node);

template <std::integral T>
struct WholeNumber {
  T min = 0;
  T max = std::numeric_limits<T>::max();

  std::string describe() const { return text("an integer from ", min, " to ", max); }
  T read(const YamlNode& node) const {
    const std::optional<T> value = parse_whole<T>(node);
    if (!value || *value < min || *value > max) refuse(node, describe());
    return *value;
  }
  std::string write(T value) const { return text(value); }
};

// A finite number within the bounds that are given.
struct RealNumber {
  std::optional<double> above = std::nullopt;     // exclusive
  std::optional<double> at_least = std::nullopt;  // inclusive
  std::optional<double> below = std::nullopt;     // exclusive
  std::optional<double> at_most = std::nullopt;   // inclusive

  std::string describe() const;
  double read(const YamlNode& node) const;
  std::string write(double value) const { return number_text(value); }
};

struct TrueOrFalse {
  std::string describe() const { return "true or false"; }
  bool read(const YamlNode& node) const;
  std::string write(bool value) const { return value ? "true" : "false"; }
};

// One line of text of at most `max` bytes.
struct Text {
  std::size_t max = 4096;

  std::string describe() const { return "text"; }
  std::string read(const YamlNode& node) const;
  std::string write(const std::string& value) const { return quoted_if_needed(value); }
};

// A word that can name a folder.
struct Label {
  std::string describe() const { return "a word of letters, digits, '.', '_' and '-'"; }
  std::string read(const YamlNode& node) const;
  std::string write(const std::string& value) const { return quoted_if_needed(value); }
};

// One of a fixed set of words, each standing for a T. Sets that a registry owns (models,
// strategies, ...) are Text.
template <typename T>
struct Choice {
  std::vector<std::pair<std::string_view, T>> words;

  std::vector<std::string_view> names() const {
    std::vector<std::string_view> all;
    for (const auto& word : words) all.push_back(word.first);
    return all;
  }
  std::string describe() const { return "one of " + join(names()); }
  T read(const YamlNode& node) const {
    for (const auto& [name, value] : words) {
      if (node.kind == YamlKind::kScalar && node.text == name) return value;
    }
    if (node.kind != YamlKind::kScalar) refuse(node, describe());
    const std::vector<std::string_view> known = names();
    throw YamlError(node.mark,
                    text("expected ", describe(), ", got ", shown(node), "; did you mean '",
                         nearest_name(std::string_view(node.text).substr(0, 64), known), "'?"));
  }
  std::string write(const T& value) const {
    for (const auto& [name, known] : words) {
      if (known == value) return std::string(name);
    }
    throw ConfigError("a choice that has no name");
  }
};

// A size: plain bytes, decimal (kB, MB, GB) or binary (KiB, MiB, GiB) multiples; a fraction of a
// byte is dropped.
struct Bytes {
  std::string describe() const { return "bytes such as 22KiB, 1.5MB or 4096"; }
  std::int64_t read(const YamlNode& node) const;
  std::string write(std::int64_t bytes) const;
};

// A positive time in microseconds, written with its unit: ns, us, ms or s.
struct Duration {
  std::string describe() const { return "a duration such as 250us, 1ms or 2s"; }
  double read(const YamlNode& node) const;
  std::string write(double microseconds) const;
};

struct IntegerList {
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::size_t max_size = 64;

  std::string describe() const {
    return text("a list of at most ", max_size, " integers from ", min, " to ", max);
  }
  std::vector<std::int64_t> read(const YamlNode& node) const;
  std::string write(const std::vector<std::int64_t>& values) const {
    return text('[', join(values), ']');
  }
};

struct RealList {
  RealNumber item;
  std::size_t max_size = 64;

  std::string describe() const {
    return text("a list of at most ", max_size, " of ", item.describe());
  }
  std::vector<double> read(const YamlNode& node) const;
  std::string write(const std::vector<double>& values) const;
};

// Another type, or null for "none".
template <typename Type>
struct OrNull {
  Type type;

  std::string describe() const { return type.describe() + ", or null"; }
  auto read(const YamlNode& node) const -> std::optional<decltype(type.read(node))> {
    if (node.kind == YamlKind::kNull) return std::nullopt;
    return type.read(node);
  }
  template <typename T>
  std::string write(const std::optional<T>& value) const {
    return value ? type.write(*value) : "null";
  }
};

}  // namespace coppice
