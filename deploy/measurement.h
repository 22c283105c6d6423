#pragma once
// Time and memory of a model on this machine, measured by the program `coppice-measure` in a
// process of its own: nothing of a training run is in its caches or its memory.

#include <cstdint>     // for int64_t
#include <filesystem>  // for path

namespace coppice {

struct Measurement {
  std::int64_t runs = 0;  // single samples, warm, one thread pinned to `core`
  std::int64_t core = -1;
  double p50_us = 0.0;
  double p99_us = 0.0;
  double p999_us = 0.0;
  std::int64_t activation_bytes = 0;  // the arena, by the planner
  std::int64_t process_bytes = 0;     // what the process grew by, from before it read the file
};

// `program`: the path of coppice-measure. Throws DataError if it cannot be run or fails; its reason
// is not known here, so that a file should have been read once before.
Measurement measure(const std::filesystem::path& program, const std::filesystem::path& cpk,
                    std::int64_t runs);

}  // namespace coppice
