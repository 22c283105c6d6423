#pragma once
// The runtime's own error: a model that is damaged, not valid, or beyond what this version runs.
// The runtime knows nothing of the rest of Coppice.

#include <sstream>    // for ostringstream
#include <stdexcept>  // for runtime_error
#include <string>     // for string

namespace coppice::runtime {

struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws ModelError of all arguments streamed one after the other.
template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  throw ModelError(std::move(out).str());
}

}  // namespace coppice::runtime
