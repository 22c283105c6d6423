#pragma once
// Arguments of `coppice serve` and `coppice edge` as values. Pure functions.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

namespace coppice {

// "HOST:PORT", "[::1]:7443". Throws ConfigError for anything else.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};
Endpoint endpoint_of(const std::string& address);

// "0-4,7" as numbers, ascending, each once. Throws ConfigError for anything else.
std::vector<std::int64_t> client_list(const std::string& list);

}  // namespace coppice
