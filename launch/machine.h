#pragma once
// The machine a command runs on, as the operating system tells. Read-only; any thread.

#include <cstdint>  // for int64_t
#include <string>   // for string

#include "core/json.h"

namespace coppice {

struct Machine {
  std::string cpu;         // "unknown" if the system does not say
  std::int64_t cores = 0;  // that this process may use
  std::int64_t memory_bytes = 0;
  std::int64_t memory_available_bytes = 0;  // 0 if the system does not say
  std::int64_t open_files = 0;              // ulimit -n; at most 2^31 for "unlimited"

  Json to_json() const;  // cpu, cores, memory_bytes
};
Machine this_machine();

// The folder of the running program.
std::string program_folder();

// The path of the first executable file `name` on PATH; empty if there is none.
std::string find_on_path(const std::string& name);

// Lets this process have `sockets` sockets beside the files that it has anyway, as far as the
// system's hard limit goes. Throws ConfigError beyond that, with the limit.
void allow_sockets(std::int64_t sockets);

}  // namespace coppice
