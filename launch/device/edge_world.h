#pragma once
// The data of a run as a config describes it: what ranks and devices read alike.

#include <string>  // for string

#include "client/edge_worker.h"
#include "core/experiment.h"
#include "data/dataset.h"
#include "data/partition.h"

namespace coppice {

DatasetRequest dataset_request(const DataConfig& config);
PartitionRequest partition_request(const ExperimentConfig& config);

// SHA-256 over all training samples and who owns which: what a device and its coordinator must
// agree on.
std::string clients_sha256(const Dataset& dataset, const Partition& partition);

// A device's own: the data set that the run's config names, from the device's files. `root` is
// where they are; empty: the data set's usual places. What the config says about places is never
// followed: it is the coordinator's. Throws ConfigError and DataError, also for a coordinator of
// another version or with other data.
EdgeWorld open_edge_world(const EdgeSetup& setup, const std::string& root);

}  // namespace coppice
