#pragma once
// Reads what a run left in its folder.

#include <filesystem>  // for path
#include <vector>      // for vector

#include "core/json.h"

namespace coppice {

// The lines of metrics.jsonl, and summary.json. Throw DataError naming the file.
std::vector<Json> read_metrics(const std::filesystem::path& run);
Json read_summary(const std::filesystem::path& run);

}  // namespace coppice
