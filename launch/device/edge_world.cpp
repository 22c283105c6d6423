#include "launch/device/edge_world.h"

#include "core/config/config.h"

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

EdgeWorld open_edge_world(const EdgeSetup& setup, const std::string& root) {
  ExperimentConfig config = parse_config(setup.config, "the coordinator's config");
  config.data.root = root;
  EdgeWorld world;
  world.dataset = load_dataset(dataset_request(config.data));
  world.partition = make_partition(*world.dataset, partition_request(config));
  world.seed = config.seed;
  return world;
}

}  // namespace coppice
