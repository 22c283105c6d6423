#pragma once
// Places where a test kills the process as a power cut would: COPPICE_FAILPOINT=before_commit:3
// sends SIGKILL to the process that reaches "before_commit" for the third time. Names are those of
// core/failpoints.def, checked when the caller is compiled. Without the build option
// COPPICE_FAILPOINTS every function here does nothing. Any thread may call them; the threads of a
// process share one count a name.

#include <cstddef>      // for size_t
#include <span>         // for span
#include <string_view>  // for string_view

namespace coppice {

// Every name of core/failpoints.def, in its order.
std::span<const std::string_view> known_failpoints();

// A name from the list; any other does not compile.
class FailpointName {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): failpoint("after_plan") is the point.
  consteval FailpointName(const char* name) : index_(index_of(name)) {}

  constexpr std::size_t index() const { return index_; }

 private:
  static consteval std::size_t index_of(std::string_view name) {
    constexpr std::string_view kNames[] = {
#define COPPICE_FAILPOINT_NAME(known) #known,
#include "core/failpoints.def"
#undef COPPICE_FAILPOINT_NAME
    };
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
      if (kNames[i] == name) return i;
    }
    throw "no such name in core/failpoints.def";
  }

  std::size_t index_;
};

// Counts one visit; does not return if it is the fatal one.
void failpoint(FailpointName name);

// Counts one visit and says whether it is the fatal one. The caller then leaves the damage of its
// choice (half a record) and calls die_at_failpoint().
bool failpoint_is_due(FailpointName name);
[[noreturn]] void die_at_failpoint();

// Reads the variable; mains call it first, and before it no visit is fatal. Throws ConfigError if
// it is set but is not name:count with a known name (the nearest is named) and a count of at least
// 1, or if this build has no failpoints.
void arm_failpoints();

}  // namespace coppice
