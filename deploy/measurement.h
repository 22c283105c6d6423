#pragma once
// Time and memory of a model on this machine, measured by the program `coppice-measure` in a
// process of its own: nothing of a training run is in its caches or its memory.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <string_view>  // for string_view

namespace coppice {

// Times that half, 99 % and 99.9 % of the runs did not exceed.
struct Percentiles {
  double p50_us = 0.0;
  double p99_us = 0.0;
  double p999_us = 0.0;
};

struct Measurement {
  std::int64_t runs = 0;     // single samples, warm
  std::int64_t threads = 1;  // on a sample, pinned to as many cores
  std::int64_t core = -1;    // the last of them; -1: the system refused to pin
  Percentiles latency;
  // Of a loop in registers, after every run, that was set to take as long as the median run: what
  // its tail has, the machine gives every program.
  Percentiles spin;
  std::int64_t activation_bytes = 0;  // the arena, by the planner
  std::int64_t process_bytes = 0;     // what the process grew by, from before it read the file
};

// The line that coppice-measure prints. Throws DataError naming `where` for anything else.
Measurement measurement_from(std::string_view line, std::string_view where);

// `program`: the path of coppice-measure. Throws DataError if it cannot be run or fails; its reason
// is not known here, so that a file should have been read once before. `threads`: from 1 to
// runtime::kMaxThreads.
Measurement measure(const std::filesystem::path& program, const std::filesystem::path& cpk,
                    std::int64_t runs, std::int64_t threads = 1);

}  // namespace coppice
