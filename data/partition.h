#pragma once
// Who owns which training sample. A partition is a pure function of (labels or client keys,
// request, seed).

#include <cstdint>      // for int64_t
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "data/dataset.h"

namespace coppice {

struct PartitionRequest {
  std::string scheme = "iid";  // a line of partitioners.def
  std::int64_t clients = 10;   // by_key: 0 takes every key; otherwise the first `clients` keys
  double alpha = 0.5;          // dirichlet: concentration
  std::int64_t classes_per_client = 2;  // shards: NIID-Bench's #C
  std::int64_t min_samples = 10;  // dirichlet: resampled until every client owns at least this many
  double validation_fraction = 0.0;  // of each client's samples, held out inside the client
  std::uint64_t seed = 1;
  // devices: whose the data set is, all of it; without one it is nobody's.
  std::optional<std::int64_t> owner = {};
};

// The scheme whose clients have data that nobody else reads.
inline constexpr std::string_view kOfDevices = "devices";

// Samples of one client: indices into Dataset::train, ascending; the two lists are disjoint.
struct ClientData {
  std::string name = {};  // of a natural client, else empty
  std::vector<std::int64_t> train = {};
  std::vector<std::int64_t> validation = {};  // floor(fraction * owned), never all of them
};

struct Partition {
  std::vector<ClientData> clients;

  std::int64_t train_samples() const;
  std::int64_t validation_samples() const;
};

// Throws ConfigError if the request cannot be met (more clients than samples, by_key without keys,
// dirichlet that finds no draw with min_samples in 1,000 attempts, ...), saying what was asked and
// what there is. Clients of `devices` other than the owner have no samples here.
Partition make_partition(const Dataset& dataset, const PartitionRequest& request);

std::span<const std::string_view> known_partitioners();

// Training samples of each class at each client: clients x classes, row-major. For data with
// several labels a sample, labels are counted.
std::vector<std::int64_t> class_counts(const Dataset& dataset, const Partition& partition);

}  // namespace coppice
