#include <algorithm>  // for find, max, min

#include "core/error.h"
#include "core/text.h"
#include "data/partitioner.h"

namespace coppice {
namespace {

bool contains(const std::vector<std::int64_t>& values, std::int64_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// Classes (by position among `classes` present ones) of each client: client i owns i % classes,
// then whatever class nobody owns yet while there is room, then distinct random ones.
std::vector<std::vector<std::int64_t>> draw_classes(std::int64_t classes,
                                                    const PartitionRequest& request) {
  const std::int64_t clients = request.clients;
  std::vector<std::vector<std::int64_t>> drawn(static_cast<std::size_t>(clients));
  for (std::int64_t client = 0; client < clients; ++client) {
    drawn[static_cast<std::size_t>(client)] = {client % classes};
  }
  const std::int64_t places = clients * (request.classes_per_client - 1);
  RandomStream order = partition_stream(request, -1);
  const std::int64_t unowned = std::max<std::int64_t>(0, classes - clients);
  const std::vector<std::int64_t> waiting = random_permutation(unowned, order);
  for (std::int64_t i = 0; i < std::min(unowned, places); ++i) {
    drawn[static_cast<std::size_t>(i % clients)].push_back(clients +
                                                           waiting[static_cast<std::size_t>(i)]);
  }
  for (std::int64_t client = 0; client < clients; ++client) {
    RandomStream stream = partition_stream(request, client, 1);
    std::vector<std::int64_t>& own = drawn[static_cast<std::size_t>(client)];
    while (static_cast<std::int64_t>(own.size()) < request.classes_per_client) {
      const auto label =
          static_cast<std::int64_t>(stream.next_below(static_cast<std::uint64_t>(classes)));
      if (!contains(own, label)) own.push_back(label);
    }
  }
  return drawn;
}

}  // namespace

// Li et al. 2022 (NIID-Bench), noniid-#label<k>: each client owns k classes, and the samples of a
// class are divided evenly among its owners. Where NIID-Bench can leave a class without an owner
// although there is room (fewer clients than classes), such classes are dealt first. With clients *
// k < classes the rest of the classes is left out.
OwnedSamples partition_shards(const Dataset& dataset, const PartitionRequest& request) {
  auto classes = rows_by_class(dataset, request.scheme);
  std::erase_if(classes, [](const auto& rows) { return rows.empty(); });
  const auto present = static_cast<std::int64_t>(classes.size());
  if (request.classes_per_client < 1 || request.classes_per_client > present) {
    throw ConfigError(text("data.partition.classes_per_client: expected 1 to ", present,
                           ", the classes of data set '", dataset.name, "', got ",
                           request.classes_per_client));
  }
  const auto drawn = draw_classes(present, request);
  OwnedSamples owned;
  owned.rows.resize(drawn.size());
  for (std::int64_t label = 0; label < present; ++label) {
    std::vector<std::size_t> owners;
    for (std::size_t client = 0; client < drawn.size(); ++client) {
      if (contains(drawn[client], label)) owners.push_back(client);
    }
    std::vector<std::int64_t>& rows = classes[static_cast<std::size_t>(label)];
    RandomStream stream = partition_stream(request, label, 2);
    shuffle(rows, stream);
    for (std::size_t i = 0; i < owners.size(); ++i) {
      const std::vector<std::int64_t> part =
          even_part(rows, static_cast<std::int64_t>(owners.size()), static_cast<std::int64_t>(i));
      owned.rows[owners[i]].insert(owned.rows[owners[i]].end(), part.begin(), part.end());
    }
  }
  return owned;
}

}  // namespace coppice
