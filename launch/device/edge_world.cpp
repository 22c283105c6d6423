#include "launch/device/edge_world.h"

#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/device/data_digest.h"
#include "launch/version.h"

namespace coppice {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += name + '\n';
  return out;
}

// Labels and ids are numbers, and mean what they mean to the coordinator: a device may lack some of
// them, but not have others or call them otherwise.
void check_fits(const Dataset& own, const EdgeSetup& setup) {
  const auto expect = [](const char* what, const auto& expected, const auto& got) {
    throw DataError(
        text("this device's data: expected ", what, expected, ", as the run has, got ", got));
  };
  const std::string format = sample_format(own);
  if (format != setup.sample_format) expect("samples of ", setup.sample_format, format);
  if (own.classes > setup.classes) expect("labels below ", setup.classes, own.classes - 1);
  if (own.vocabulary > setup.vocabulary) expect("ids below ", setup.vocabulary, own.vocabulary - 1);
  const std::string names = joined(own.label_names);
  if (!names.empty() && !setup.label_names.empty() && names != setup.label_names)
    expect("the labels\n", setup.label_names, "\n" + names);
}

std::unique_ptr<const Dataset> load_own(const DataConfig& config, const DeviceData& data,
                                        const EdgeSetup& setup) {
  DatasetRequest request = dataset_request(config);
  if (!data.dataset.empty()) request.name = data.dataset;
  request.test_fraction = 0.0;  // the run is measured on the coordinator's
  std::unique_ptr<Dataset> own = load_dataset(request);
  check_fits(*own, setup);
  own->classes = setup.classes;
  own->vocabulary = setup.vocabulary;
  return own;
}

}  // namespace

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

bool has_data_elsewhere(const ExperimentConfig& config) {
  return config.data.partition.scheme == kOfDevices;
}

std::string clients_sha256(const Dataset& dataset, const Partition& partition) {
  Sha256 digest;
  digest_split(digest, dataset.train);
  digest_partition(digest, partition);
  return hex(digest.finish());
}

EdgeSetup with_format(EdgeSetup setup, const Dataset& dataset) {
  setup.sample_format = sample_format(dataset);
  setup.label_names = joined(dataset.label_names);
  setup.classes = dataset.classes;
  setup.vocabulary = dataset.vocabulary;
  return setup;
}

EdgeWorld open_edge_world(const EdgeSetup& setup, const DeviceData& data, std::int64_t client) {
  if (setup.version != kCoppiceVersion) {
    throw ConfigError(text("expected a coordinator of version ", kCoppiceVersion, ", got ",
                           setup.version.substr(0, 32)));
  }
  ExperimentConfig config = parse_config(setup.config, "the coordinator's config");
  config.data.root = data.root;
  const bool is_own = has_data_elsewhere(config);
  EdgeWorld world;
  world.seed = config.seed;
  world.downlink = config.comm.downlink;
  if (is_own) {
    world.dataset = load_own(config.data, data, setup);
  } else {
    if (!data.dataset.empty())
      throw ConfigError("--dataset: the run's clients are parts of one data set; expected none");
    world.dataset = load_dataset(dataset_request(config.data));
  }
  PartitionRequest partition = partition_request(config);
  if (is_own) partition.owner = client;
  world.partition = make_partition(*world.dataset, partition);
  if (!is_own && clients_sha256(*world.dataset, world.partition) != setup.data_sha256) {
    throw DataError(text("the data set '", config.data.name,
                         "': expected the training samples that the coordinator has, got others"));
  }
  return world;
}

}  // namespace coppice
