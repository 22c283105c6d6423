#include "launch/device/edge_world.h"

#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/device/data_digest.h"
#include "launch/version.h"

namespace coppice {

DatasetRequest dataset_request(const DataConfig& config) {
  return {.name = config.name,
          .root = config.root,
          .test_fraction = config.test_fraction,
          .text_split = config.text_split,
          .context = config.context,
          .label_column = config.label_column,
          .client_column = config.client_column};
}

PartitionRequest partition_request(const ExperimentConfig& config) {
  const PartitionConfig& partition = config.data.partition;
  return {.scheme = partition.scheme,
          .clients = partition.clients,
          .alpha = partition.alpha,
          .classes_per_client = partition.classes_per_client,
          .min_samples = partition.min_samples,
          .validation_fraction = config.data.validation_fraction,
          .seed = config.seed};
}

std::string clients_sha256(const Dataset& dataset, const Partition& partition) {
  Sha256 digest;
  digest_split(digest, dataset.train);
  digest_partition(digest, partition);
  return hex(digest.finish());
}

EdgeWorld open_edge_world(const EdgeSetup& setup, const std::string& root) {
  if (setup.version != kCoppiceVersion) {
    throw ConfigError(text("expected a coordinator of version ", kCoppiceVersion, ", got ",
                           setup.version.substr(0, 32)));
  }
  ExperimentConfig config = parse_config(setup.config, "the coordinator's config");
  config.data.root = root;
  EdgeWorld world;
  world.dataset = load_dataset(dataset_request(config.data));
  world.partition = make_partition(*world.dataset, partition_request(config));
  world.seed = config.seed;
  if (clients_sha256(*world.dataset, world.partition) != setup.data_sha256) {
    throw DataError(text("the data set '", config.data.name,
                         "': expected the training samples that the coordinator has, got others"));
  }
  return world;
}

}  // namespace coppice
