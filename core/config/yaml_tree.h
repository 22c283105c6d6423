#pragma once
// A small YAML reader for files that may be hostile: one document, as a tree of nodes that know
// where they stand. It sits on yaml-cpp's events and is the only place that sees yaml-cpp. Pure
// values; any thread may use it.
//
// Refused: tags, merge keys (<<), duplicate keys, keys that are not plain words, several documents,
// bytes that are not UTF-8, control characters, and whatever passes the limits below.

#include <cstddef>      // for size_t
#include <filesystem>   // for path
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/error.h"

namespace coppice {

inline constexpr std::size_t kMaxYamlBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxYamlDepth = 32;
inline constexpr std::size_t kMaxYamlAliases = 64;
inline constexpr std::size_t kMaxYamlNodes =
    100'000;  // aliases expanded, copies kept for them included
inline constexpr std::size_t kMaxYamlTextBytes = std::size_t{4} << 20U;  // likewise

struct YamlMark {
  int line = 1;    // from 1
  int column = 1;  // from 1, in bytes
};

// Something wrong at one place of a document whose name the reader does not know; who knows it,
// adds it.
struct YamlError : ConfigError {
  YamlError(YamlMark place, const std::string& message) : ConfigError(message), mark(place) {}
  YamlMark mark;
};

enum class YamlKind { kNull, kScalar, kList, kMap };

struct YamlNode {
  YamlKind kind = YamlKind::kNull;
  std::string text;        // of a scalar
  bool is_quoted = false;  // "5" is text, 5 may be a number
  YamlMark mark;
  std::vector<YamlNode> children;  // of a list or a map, in the order of the file
  std::string key;                 // in a map: the node's key, and where that stands
  YamlMark key_mark;
};

// The tree of `text`; an empty document is a null. Throws YamlError.
YamlNode parse_yaml(std::string_view text);

// The bytes of a file or pipe of at most kMaxYamlBytes. Throws ConfigError naming the file.
std::string read_yaml_file(const std::filesystem::path& path);

}  // namespace coppice
