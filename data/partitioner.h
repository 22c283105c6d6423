#pragma once
// One way to deal training samples to clients. Internal to the layer: a partitioner is one file in
// partitioners/ with partition_NAME() and one line in partitioners.def.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "core/random.h"
#include "data/partition.h"

namespace coppice {

struct OwnedSamples {
  std::vector<std::vector<std::int64_t>> rows = {};  // a list a client, distinct, in any order
  std::vector<std::string> names = {};               // a name a client, or empty
};

// Each throws ConfigError if the request cannot be met. A client without samples is refused by
// make_partition().
#define COPPICE_PARTITIONER(name) \
  OwnedSamples partition_##name(const Dataset& dataset, const PartitionRequest& request);
#include "data/partitioners.def"
#undef COPPICE_PARTITIONER

// Training samples of each class, ascending. Throws ConfigError, naming `scheme`, for data with
// several labels a sample.
std::vector<std::vector<std::int64_t>> rows_by_class(const Dataset& dataset,
                                                     const std::string& scheme);

// Cuts `rows` into `parts` runs whose sizes differ by at most one, longer ones first; run `index`.
std::vector<std::int64_t> even_part(const std::vector<std::int64_t>& rows, std::int64_t parts,
                                    std::int64_t index);

// The stream of a partition's draws; `item` is what is drawn for (a class, a client), -1 for the
// whole.
RandomStream partition_stream(const PartitionRequest& request, std::int64_t item,
                              std::int64_t attempt = 0);

}  // namespace coppice
