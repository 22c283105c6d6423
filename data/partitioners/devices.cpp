#include <numeric>  // for iota

#include "core/error.h"
#include "core/text.h"
#include "data/partitioner.h"

namespace coppice {

// Each client's data is a data set of its own; this one is the owner's.
OwnedSamples partition_devices(const Dataset& dataset, const PartitionRequest& request) {
  OwnedSamples owned;
  owned.rows.resize(static_cast<std::size_t>(request.clients));
  if (!request.owner) return owned;
  if (*request.owner < 0 || *request.owner >= request.clients) {
    throw ConfigError(text("partition 'devices': expected one of ", request.clients,
                           " clients, got ", *request.owner));
  }
  std::vector<std::int64_t>& rows = owned.rows[static_cast<std::size_t>(*request.owner)];
  rows.resize(static_cast<std::size_t>(dataset.train.size));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return owned;
}

}  // namespace coppice
