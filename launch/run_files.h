#pragma once
// Reads what a run left in its folder.

#include <filesystem>  // for path
#include <vector>      // for vector

#include "core/json.h"

namespace coppice {

// The lines of metrics.jsonl, and summary.json. Throw DataError naming the file.
std::vector<Json> read_metrics(const std::filesystem::path& run);
Json read_summary(const std::filesystem::path& run);

// Whether the run trained a dense model beside its own; and where the dense model is, which is the
// run's own if it did not.
bool has_control(const std::filesystem::path& run);
std::filesystem::path dense_model(const std::filesystem::path& run);

}  // namespace coppice
