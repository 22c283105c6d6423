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
// Whether each client's data is on a device of its own (data.partition.scheme).
bool has_data_elsewhere(const ExperimentConfig& config);

// SHA-256 over all training samples and who owns which: what a device and its coordinator must
// agree on.
std::string clients_sha256(const Dataset& dataset, const Partition& partition);

// What a device's own samples have to fit: `setup` with what `dataset`, the coordinator's, is like.
EdgeSetup with_format(EdgeSetup setup, const Dataset& dataset);

// Where a device's data is.
struct DeviceData {
  std::string root = {};     // empty: the data set's usual places
  std::string dataset = {};  // what it is, where it is the device's own; empty: as the config says
};

// The data of a device that is client `client` of the run. Where the partition is of the data set
// that the config names: that data set, and its client's part. Of the scheme `devices`: all that is
// in `data`, some of it held out as the config says. What the config says about places is never
// followed: it is the coordinator's. Throws ConfigError and DataError, also for a coordinator of
// another version, and for data that is not the coordinator's, or does not fit it.
EdgeWorld open_edge_world(const EdgeSetup& setup, const DeviceData& data, std::int64_t client);

}  // namespace coppice
