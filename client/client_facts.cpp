#include "client/client_facts.h"

#include <iterator>  // for ssize

namespace coppice {

std::vector<DataFacts> facts_of(const Dataset& dataset, const Partition& partition) {
  const bool has_classes = dataset.labels_per_sample == 1;
  const std::vector<std::int64_t> counts =
      has_classes ? class_counts(dataset, partition) : std::vector<std::int64_t>();
  auto own = counts.begin();
  std::vector<DataFacts> out;
  for (const ClientData& client : partition.clients) {
    DataFacts& facts = out.emplace_back();
    facts.train_samples = std::ssize(client.train);
    facts.validation_labels = std::ssize(client.validation) * dataset.labels_per_sample;
    if (!has_classes) continue;
    facts.class_counts.assign(own, own + dataset.classes);
    own += dataset.classes;
  }
  return out;
}

}  // namespace coppice
