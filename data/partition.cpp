#include "data/partition.h"

#include <algorithm>  // for max, min, sort
#include <cmath>      // for floor
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"
#include "data/partitioner.h"

namespace coppice {
namespace {

constexpr std::string_view kNames[] = {
#define COPPICE_PARTITIONER(name) #name,
#include "data/partitioners.def"
#undef COPPICE_PARTITIONER
};

using Partitioner = OwnedSamples (*)(const Dataset&, const PartitionRequest&);
constexpr Partitioner kPartitioners[] = {
#define COPPICE_PARTITIONER(name) partition_##name,
#include "data/partitioners.def"
#undef COPPICE_PARTITIONER
};

Partitioner partitioner_named(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return kPartitioners[i];
  }
  throw ConfigError(unknown_name("partition scheme", name, kNames));
}

void check_request(const Dataset& dataset, const PartitionRequest& request) {
  if (!(request.validation_fraction >= 0.0 && request.validation_fraction < 1.0)) {
    throw ConfigError(text("data.validation_fraction: expected a value in [0, 1), got ",
                           request.validation_fraction));
  }
  const bool takes_all_keys = request.scheme == "by_key" && request.clients == 0;
  if (request.clients < 1 && !takes_all_keys) {
    throw ConfigError(text("data.partition.clients: expected at least 1, got ", request.clients));
  }
  if (request.clients > dataset.train.size && request.scheme != kOfDevices) {
    throw ConfigError(text("data.partition.clients: expected at most ", dataset.train.size,
                           ", one a training sample, got ", request.clients));
  }
}

// Holds floor(fraction * n) random samples out of `rows`, never all of them.
ClientData split_validation(std::vector<std::int64_t> rows, std::int64_t client,
                            const PartitionRequest& request) {
  std::sort(rows.begin(), rows.end());
  const auto n = static_cast<std::int64_t>(rows.size());
  // The addend keeps a product like 0.29 * 100, just below 29 in binary, from losing a sample.
  const auto wanted = static_cast<std::int64_t>(
      std::floor(request.validation_fraction * static_cast<double>(n) + 1e-9));
  const auto held_out = static_cast<std::ptrdiff_t>(std::min(wanted, n - 1));
  if (held_out == 0) return {.train = std::move(rows)};
  RandomStream stream(
      {.seed = request.seed, .purpose = Purpose::kValidationSplit, .client = client});
  shuffle(rows, stream);
  ClientData data{.train = {rows.begin() + held_out, rows.end()},
                  .validation = {rows.begin(), rows.begin() + held_out}};
  std::sort(data.train.begin(), data.train.end());
  std::sort(data.validation.begin(), data.validation.end());
  return data;
}

}  // namespace

std::int64_t Partition::train_samples() const {
  std::int64_t total = 0;
  for (const ClientData& client : clients) total += static_cast<std::int64_t>(client.train.size());
  return total;
}

std::int64_t Partition::validation_samples() const {
  std::int64_t total = 0;
  for (const ClientData& client : clients)
    total += static_cast<std::int64_t>(client.validation.size());
  return total;
}

Partition make_partition(const Dataset& dataset, const PartitionRequest& request) {
  const Partitioner partitioner = partitioner_named(request.scheme);
  check_request(dataset, request);
  OwnedSamples owned = partitioner(dataset, request);
  Partition partition;
  for (std::size_t client = 0; client < owned.rows.size(); ++client) {
    const bool is_elsewhere =
        request.scheme == kOfDevices && static_cast<std::int64_t>(client) != request.owner;
    if (owned.rows[client].empty() && !is_elsewhere) {
      throw ConfigError(text("partition '", request.scheme, "': client ", client, " of ",
                             owned.rows.size(), " would own no sample of ", dataset.train.size,
                             "; ask for fewer clients"));
    }
    if (is_elsewhere) {
      partition.clients.emplace_back();
      continue;
    }
    partition.clients.push_back(split_validation(std::move(owned.rows[client]),
                                                 static_cast<std::int64_t>(client), request));
    if (!owned.names.empty()) partition.clients.back().name = owned.names[client];
  }
  return partition;
}

std::span<const std::string_view> known_partitioners() { return kNames; }

std::vector<std::int64_t> class_counts(const Dataset& dataset, const Partition& partition) {
  std::vector<std::int64_t> counts(partition.clients.size() *
                                   static_cast<std::size_t>(dataset.classes));
  std::int64_t* row = counts.data();
  for (const ClientData& client : partition.clients) {
    for (const std::int64_t sample : client.train) {
      const std::int32_t* labels = dataset.train.labels.data() + sample * dataset.labels_per_sample;
      for (std::int64_t i = 0; i < dataset.labels_per_sample; ++i) ++row[labels[i]];
    }
    row += dataset.classes;
  }
  return counts;
}

std::vector<std::vector<std::int64_t>> rows_by_class(const Dataset& dataset,
                                                     const std::string& scheme) {
  if (dataset.labels_per_sample != 1) {
    throw ConfigError(text("partition '", scheme, "' needs one label a sample; data set '",
                           dataset.name, "' has ", dataset.labels_per_sample,
                           " (use iid or by_key)"));
  }
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(dataset.classes));
  for (std::size_t i = 0; i < dataset.train.labels.size(); ++i) {
    rows[static_cast<std::size_t>(dataset.train.labels[i])].push_back(static_cast<std::int64_t>(i));
  }
  return rows;
}

std::vector<std::int64_t> even_part(const std::vector<std::int64_t>& rows, std::int64_t parts,
                                    std::int64_t index) {
  const auto n = static_cast<std::int64_t>(rows.size());
  const auto begin_of = [&](std::int64_t part) {
    return part * (n / parts) + std::min(part, n % parts);
  };
  return {rows.begin() + begin_of(index), rows.begin() + begin_of(index + 1)};
}

RandomStream partition_stream(const PartitionRequest& request, std::int64_t item,
                              std::int64_t attempt) {
  return RandomStream(
      {.seed = request.seed, .purpose = Purpose::kPartition, .client = item, .task = attempt});
}

}  // namespace coppice
