#pragma once
// The sub-commands of `coppice`. Each takes its parsed arguments, prints to stdout, and returns the process's exit code;
// failures are thrown and become one paragraph on stderr in main.

#include <string>  // for string
#include <vector>  // for vector

namespace coppice {

// The process's arguments, for libraries that want them (MPI).
struct ProcessArguments {
  int* argc = nullptr;
  char*** argv = nullptr;
};

struct RunArguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string out;      // empty: runs/NAME
  bool is_resumed = false;
  bool is_json = false;
  int ranks = 0;        // threads as ranks instead of MPI; 0: MPI
};
int run_command(const RunArguments& arguments, const ProcessArguments& process);

}  // namespace coppice
