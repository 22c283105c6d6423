#pragma once
// What a coordinator knows of its clients' data: counts, never samples. The same figures whether it
// reads the data itself or devices tell.

#include <vector>  // for vector

#include "comm/data_facts.h"
#include "data/dataset.h"
#include "data/partition.h"

namespace coppice {

// Of every client of `partition`, in order. Pure.
std::vector<DataFacts> facts_of(const Dataset& dataset, const Partition& partition);

}  // namespace coppice
