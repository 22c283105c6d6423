#include "launch/device/endpoint.h"

#include <algorithm>     // for min, sort, unique
#include <charconv>      // for from_chars
#include <string_view>   // for string_view
#include <system_error>  // for errc

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

std::int64_t whole_number(std::string_view digits, const std::string& what, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
  if (error != std::errc() || end != digits.end() || value < 0 || value > max)
    throw ConfigError(text(what, ": expected a number from 0 to ", max, ", got '", digits, "'"));
  return value;
}

// Devices of no run are numbered higher.
constexpr std::int64_t kMostClients = 1'000'000;

}  // namespace

Endpoint endpoint_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0)
    throw ConfigError(text("expected HOST:PORT, got '", address.substr(0, 128), "'"));
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);  // IPv6
  return {host, static_cast<std::uint16_t>(
                    whole_number(std::string_view(address).substr(colon + 1), address, 65535))};
}

std::vector<std::int64_t> client_list(const std::string& list) {
  std::vector<std::int64_t> clients;
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::size_t dash = item.find('-');
    const std::int64_t first = whole_number(item.substr(0, dash), "--devices", kMostClients);
    const std::int64_t last = dash == std::string_view::npos
                                  ? first
                                  : whole_number(item.substr(dash + 1), "--devices", kMostClients);
    if (last < first) throw ConfigError(text("--devices: '", item, "' is empty"));
    for (std::int64_t client = first; client <= last; ++client) clients.push_back(client);
  }
  std::ranges::sort(clients);
  clients.erase(std::unique(clients.begin(), clients.end()), clients.end());
  return clients;
}

}  // namespace coppice
