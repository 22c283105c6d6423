#pragma once
// Samples and indices as bytes of a digest.

#include <cstdint>  // for uint64_t
#include <vector>   // for vector

#include "core/digest.h"
#include "data/dataset.h"
#include "data/partition.h"

namespace coppice {

template <typename Value>
void digest_values(Sha256& digest, const std::vector<Value>& values) {
  const std::uint64_t count = values.size();
  digest.update({reinterpret_cast<const std::uint8_t*>(&count), sizeof count});
  digest.update(
      {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(Value)});
}

inline void digest_split(Sha256& digest, const Split& split) {
  digest_values(digest, split.uint8s);
  digest_values(digest, split.float32s);
  digest_values(digest, split.int32s);
  digest_values(digest, split.labels);
}

inline void digest_partition(Sha256& digest, const Partition& partition) {
  for (const ClientData& client : partition.clients) {
    digest_values(digest, client.train);
    digest_values(digest, client.validation);
  }
}

}  // namespace coppice
