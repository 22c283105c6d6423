#pragma once
// What an edge device may be called. Pure; any thread.

#include <cstddef>      // for size_t
#include <string_view>  // for string_view

namespace coppice {

inline constexpr std::size_t kMaxNodeIdBytes = 64;

// Whether a node may be called so: 1 to 64 of a-z, 0-9, '.', '_', '-', the first a letter or digit.
// Such names are safe as file names, in certificates and in logs.
bool is_node_id(std::string_view id);

// Throws ConfigError unless it is one.
void check_node_id(std::string_view id);

}  // namespace coppice
