#include "core/error.h"
#include "core/text.h"
#include "data/partitioner.h"

namespace coppice {

// The data's own clients, in order of first appearance; samples of keys beyond `clients` belong to
// nobody.
OwnedSamples partition_by_key(const Dataset& dataset, const PartitionRequest& request) {
  const auto keys = static_cast<std::int64_t>(dataset.client_names.size());
  if (dataset.train.client_keys.empty()) {
    throw ConfigError(
        text("partition 'by_key' needs data with clients; data set '", dataset.name, "' has none"));
  }
  if (request.clients > keys) {
    throw ConfigError(text("partition 'by_key': expected at most the ", keys,
                           " clients of data set '", dataset.name, "' (0 takes all), got ",
                           request.clients));
  }
  const std::int64_t clients = request.clients == 0 ? keys : request.clients;
  OwnedSamples owned;
  owned.rows.resize(static_cast<std::size_t>(clients));
  owned.names.assign(dataset.client_names.begin(), dataset.client_names.begin() + clients);
  for (std::size_t row = 0; row < dataset.train.client_keys.size(); ++row) {
    const std::int32_t key = dataset.train.client_keys[row];
    if (key < clients)
      owned.rows[static_cast<std::size_t>(key)].push_back(static_cast<std::int64_t>(row));
  }
  return owned;
}

}  // namespace coppice
