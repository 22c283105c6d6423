#pragma once
// Who takes part in a run and how much data each has: from the partition of a data set that the
// coordinator reads, or from what devices tell.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "comm/data_facts.h"
#include "coordinator/answer_sums.h"
#include "launch/world.h"

namespace coppice {

struct Population {
  std::vector<DataFacts> clients;

  std::vector<std::int64_t> train_samples() const;  // of each client
  ClientSizes sizes() const;
  // Training samples of each class over all clients; empty for data with several labels a sample.
  std::vector<std::int64_t> class_totals() const;
};

Population population_of(const World& world);

// Of what devices told: a run that is resumed has to find the same.
std::string sha256_of(const Population& population);

}  // namespace coppice
