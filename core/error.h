#pragma once
// Errors of Coppice. Wrong use and broken environments throw; expected outcomes (a late client, an
// unmet constraint, a refused update) are return values. A message says what, where, expected and
// got; a layer that can add context nests (std::throw_with_nested), and describe() joins the nest
// into one paragraph, outermost first.

#include <exception>  // for exception
#include <stdexcept>  // for runtime_error
#include <string>     // for string

namespace coppice {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A config, flag or argument that the user can correct. Becomes exit code 2.
struct ConfigError : Error {
  using Error::Error;
};

// A file that is missing, damaged or of the wrong kind: data set, checkpoint, journal. Becomes exit
// code 2.
struct DataError : Error {
  using Error::Error;
};

// Bytes from a peer or a codec that do not decode.
struct WireError : Error {
  using Error::Error;
};

// A collective or a transport that broke.
struct CommError : Error {
  using Error::Error;
};

// A kernel, executor or device that cannot do what was asked.
struct KernelError : Error {
  using Error::Error;
};

// The whole nest of `error` as "outer: inner: innermost".
std::string describe(const std::exception& error);

// 2 if the innermost error is the user's to correct (ConfigError, DataError), else 1.
int exit_code(const std::exception& error);

}  // namespace coppice
