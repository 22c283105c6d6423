#include "core/failpoint.h"

#include <array>     // for array
#include <atomic>    // for atomic
#include <charconv>  // for from_chars
#include <csignal>   // for raise, SIGKILL
#include <cstdint>   // for int64_t
#include <cstdlib>   // for getenv
#include <optional>  // for optional

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr auto kNames = std::to_array<std::string_view>({
#define COPPICE_FAILPOINT_NAME(name) #name,
#include "core/failpoints.def"
#undef COPPICE_FAILPOINT_NAME
});

constexpr const char* kVariable = "COPPICE_FAILPOINT";

#ifdef COPPICE_FAILPOINTS
struct Fatal {
  std::string_view name;
  std::int64_t visit;
};

// What the variable asks for; nothing if it is not set or not of the form name:count.
std::optional<Fatal> fatal_visit() {
  const char* value = std::getenv(kVariable);
  if (value == nullptr) return std::nullopt;
  const std::string_view all = value;
  const std::size_t colon = all.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::int64_t visit = 0;
  const char* end = all.data() + all.size();
  const auto [stop, error] = std::from_chars(all.data() + colon + 1, end, visit);
  if (error != std::errc{} || stop != end || visit < 1) return std::nullopt;
  return Fatal{all.substr(0, colon), visit};
}

// Visits belong to the process that is to die, hence the only mutable state at namespace scope.
std::array<std::atomic<std::int64_t>, kNames.size()> visits{};
#endif

}  // namespace

std::span<const std::string_view> known_failpoints() { return kNames; }

void failpoint(FailpointName name) {
  if (failpoint_is_due(name)) die_at_failpoint();
}

#ifdef COPPICE_FAILPOINTS
bool failpoint_is_due(FailpointName name) {
  const std::optional<Fatal> fatal = fatal_visit();
  if (!fatal || fatal->name != kNames[name.index()]) return false;
  return ++visits[name.index()] == fatal->visit;
}
#else
bool failpoint_is_due(FailpointName) { return false; }
#endif

void die_at_failpoint() {
  while (true) std::raise(SIGKILL);  // cannot be caught; the loop is for the compiler
}

void check_failpoint_environment() {
  const char* value = std::getenv(kVariable);
  if (value == nullptr) return;
#ifndef COPPICE_FAILPOINTS
  throw ConfigError(text(kVariable, "=", value,
                         ": this build has no failpoints; configure with COPPICE_FAILPOINTS=ON"));
#else
  const std::string_view name =
      std::string_view(value).substr(0, std::string_view(value).find(':'));
  bool is_known = false;
  for (const std::string_view known : kNames) is_known = is_known || known == name;
  if (!is_known) throw ConfigError(text(kVariable, ": ", unknown_name("failpoint", name, kNames)));
  if (!fatal_visit()) {
    throw ConfigError(
        text(kVariable, ": expected name:count with a count of at least 1, got '", value, "'"));
  }
#endif
}

}  // namespace coppice
