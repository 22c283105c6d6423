#include "core/failpoint.h"

#include <algorithm>  // for find
#include <array>      // for array
#include <atomic>     // for atomic
#include <charconv>   // for from_chars
#include <csignal>    // for raise, SIGKILL
#include <cstdint>    // for int64_t
#include <cstdlib>    // for getenv
#include <optional>   // for optional

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
// The count of name:count; nothing if `all` is not of that form or the count is below 1.
std::optional<std::int64_t> count_of(std::string_view all) {
  const std::size_t colon = all.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::int64_t visit = 0;
  const char* end = all.data() + all.size();
  const auto [stop, error] = std::from_chars(all.data() + colon + 1, end, visit);
  if (error != std::errc{} || stop != end || visit < 1) return std::nullopt;
  return visit;
}

// They belong to the process that is to die, hence the only mutable state at namespace scope. The
// environment is read once: a visit may come every microsecond.
std::array<std::atomic<std::int64_t>, kNames.size()> visits{};
std::atomic<std::int64_t> fatal_index = -1;  // in kNames; none
std::atomic<std::int64_t> fatal_visit = 0;
#endif

}  // namespace

std::span<const std::string_view> known_failpoints() { return kNames; }

void failpoint(FailpointName name) {
  if (failpoint_is_due(name)) die_at_failpoint();
}

#ifdef COPPICE_FAILPOINTS
bool failpoint_is_due(FailpointName name) {
  if (fatal_index != static_cast<std::int64_t>(name.index())) return false;
  return ++visits[name.index()] == fatal_visit;
}
#else
bool failpoint_is_due(FailpointName) { return false; }
#endif

void die_at_failpoint() {
  while (true) std::raise(SIGKILL);  // cannot be caught; the loop is for the compiler
}

void arm_failpoints() {
  const char* value = std::getenv(kVariable);
#ifndef COPPICE_FAILPOINTS
  if (value == nullptr) return;
  throw ConfigError(text(kVariable, "=", value,
                         ": this build has no failpoints; configure with COPPICE_FAILPOINTS=ON"));
#else
  fatal_index = -1;
  if (value == nullptr) return;
  const std::string_view name =
      std::string_view(value).substr(0, std::string_view(value).find(':'));
  const auto known = std::ranges::find(kNames, name);
  if (known == kNames.end())
    throw ConfigError(text(kVariable, ": ", unknown_name("failpoint", name, kNames)));
  const std::optional<std::int64_t> count = count_of(value);
  if (!count) {
    throw ConfigError(
        text(kVariable, ": expected name:count with a count of at least 1, got '", value, "'"));
  }
  fatal_visit = *count;
  fatal_index = known - kNames.begin();
#endif
}

}  // namespace coppice
