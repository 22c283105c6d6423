#pragma once
// What a config stands for once files are read: the data, who owns it, the network and its initial
// weights. Every rank builds the same World by itself; nothing of it travels.

#include <memory>    // for unique_ptr
#include <optional>  // for optional
#include <string>    // for string
#include <vector>    // for vector

#include "core/experiment.h"
#include "core/graph.h"
#include "data/dataset.h"
#include "data/partition.h"
#include "models/executor.h"

namespace coppice {

struct World {
  std::unique_ptr<const Dataset> dataset;
  Partition partition;
  Graph graph;                    // dense
  std::vector<float> parameters;  // initial

  struct Network {
    Graph graph;
    std::vector<float> parameters;
  };
  std::optional<Network> student;  // compress.distill.student, with its initial weights
  std::optional<Network> teacher;  // compress.distill.teacher, if it is a file
  // The model of compress.dense_reference, where a min_retention is judged by it.
  std::optional<Network> reference;

  ExecutorChoice executor;  // for all of these networks
};

// The network that `config` describes, for `dataset`.
Graph graph_for(const ModelConfig& config, const Dataset& dataset);

// Throws ConfigError and DataError as the parts do; context says which part.
World make_world(const ExperimentConfig& config);

// SHA-256 over every sample, label and the partition: what a run's identity knows of its data; and
// over models from files.
std::string data_sha256(const World& world);

}  // namespace coppice
