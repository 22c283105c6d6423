#include "data/partitioner.h"

namespace coppice {

// A random permutation in runs of equal size (within one).
OwnedSamples partition_iid(const Dataset& dataset, const PartitionRequest& request) {
  RandomStream stream = partition_stream(request, -1);
  const std::vector<std::int64_t> order = random_permutation(dataset.train.size, stream);
  OwnedSamples owned;
  for (std::int64_t client = 0; client < request.clients; ++client) {
    owned.rows.push_back(even_part(order, request.clients, client));
  }
  return owned;
}

}  // namespace coppice
