#pragma once
// What the loaders of data/sources share: where files lie, and the checks and splits that end every
// load. Internal to the layer. A loader is one file with load_NAME() and locate_NAME() and one line
// in datasets.def.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "data/dataset.h"

namespace coppice {

// Each load_NAME() fills everything but Dataset::name; finish_dataset() has run. Each locate_NAME()
// answers for locate_dataset().
#define COPPICE_DATASET(name, sentence)               \
  Dataset load_##name(const DatasetRequest& request); \
  std::string locate_##name();
#include "data/datasets.def"
#undef COPPICE_DATASET

// $COPPICE_DATA if set, the folder this build keeps data in, then `system_place`.
std::vector<std::filesystem::path> usual_places(const std::filesystem::path& system_place);

// The first of folder/name that exists, for each folder and then each name; empty if none does.
std::filesystem::path find_file(const std::vector<std::filesystem::path>& folders,
                                const std::vector<std::string>& names);

// request.root. Throws ConfigError if it is empty, DataError if it does not exist; `what` says what
// it must be.
std::filesystem::path required_root(const DatasetRequest& request, std::string_view what);

// Moves floor(fraction * n) of the training samples to the test split, chosen by a fixed
// permutation that depends on no seed. With client keys that is done within each client, which
// keeps at least one training sample.
void split_off_test(Dataset& dataset, double fraction);

// Numbers client names in order of first appearance.
std::vector<std::int32_t> number_names(const std::vector<std::string>& names,
                                       std::vector<std::string>& distinct);

// Checks what every data set promises and counts what follows from it: `classes` from the largest
// label (unless it is set), `vocabulary` of kInt32 samples. Throws DataError, naming `source`, for
// an empty training split or sample, array lengths that disagree, labels or ids out of range.
void finish_dataset(Dataset& dataset, const std::string& source);

}  // namespace coppice
