#include "launch/population.h"

#include "client/client_facts.h"
#include "core/digest.h"
#include "core/text.h"

namespace coppice {

std::vector<std::int64_t> Population::train_samples() const {
  std::vector<std::int64_t> out;
  for (const DataFacts& client : clients) out.push_back(client.train_samples);
  return out;
}

ClientSizes Population::sizes() const {
  ClientSizes sizes{.weights = train_samples(), .validation_labels = {}};
  for (const DataFacts& client : clients)
    sizes.validation_labels.push_back(client.validation_labels);
  return sizes;
}

std::vector<std::int64_t> Population::class_totals() const {
  std::vector<std::int64_t> totals;
  for (const DataFacts& client : clients) {
    totals.resize(client.class_counts.size());
    for (std::size_t c = 0; c < totals.size(); ++c) totals[c] += client.class_counts[c];
  }
  return totals;
}

Population population_of(const World& world) { return {facts_of(*world.dataset, world.partition)}; }

std::string sha256_of(const Population& population) {
  Sha256 digest;
  for (const DataFacts& client : population.clients) digest.update(encode_data_facts(client));
  return hex(digest.finish());
}

}  // namespace coppice
