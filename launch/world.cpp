#include "launch/world.h"

#include <filesystem>  // for path

#include "core/checkpoint.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parameter_arena.h"
#include "core/text.h"
#include "launch/device/data_digest.h"
#include "launch/device/edge_world.h"
#include "launch/loaded_model.h"
#include "launch/run_files.h"
#include "models/zoo.h"

namespace coppice {

Graph graph_for(const ModelConfig& config, const Dataset& dataset) {
  ModelRequest request;
  request.input = {
      .shape = dataset.sample_shape,
      .type = dataset.type == SampleType::kInt32 ? ElementType::kInt32 : ElementType::kFloat32,
      .labels_per_sample = dataset.labels_per_sample,
      .label_names = dataset.label_names};
  request.classes = dataset.classes;
  request.vocabulary = dataset.vocabulary;
  const bool is_image =
      dataset.sample_shape.size() == 3;  // in [0, 1]; feature vectors are taken as they are
  request.input_mean = is_image ? 0.5 : 0.0;
  request.input_deviation = is_image ? 0.5 : 1.0;
  return make_model(config, request);
}

namespace {

// By name, from any safetensors file or an ONNX file.
std::vector<float> initial_weights(const std::string& path, const Graph& graph) {
  if (!path.ends_with(".onnx")) return weights_for(graph, read_file(path), path);
  const Checkpoint checkpoint = read_network(path);
  if (!checkpoint.plan.is_empty())
    throw ConfigError(text("model.init: ", path, " is quantized; expected fp32 weights"));
  return weights_for(graph, to_bytes(checkpoint), path);
}

// The finished model of an earlier run, or another network for the same data.
World::Network read_other(const char* key, const std::string& path, const Dataset& dataset) {
  Checkpoint checkpoint = read_network(path);
  const Graph& graph = checkpoint.graph;
  if (graph.input().shape != dataset.sample_shape ||
      graph.output().shape.back() != dataset.classes) {
    throw ConfigError(text(key, ": ", path, " takes ", shape_text(graph.input().shape),
                           " and tells ", graph.output().shape.back(),
                           " classes apart; the data has ", shape_text(dataset.sample_shape),
                           " and ", dataset.classes));
  }
  return {std::move(checkpoint.graph), std::move(checkpoint.parameters)};
}

// Known now, not when the teacher is first listened to.
void check_feature(const std::string& feature, const World& world) {
  const Graph& learner = world.student ? world.student->graph : world.graph;
  const Graph& teacher = world.teacher ? world.teacher->graph : world.graph;
  for (const Graph* graph : {&learner, &teacher}) {
    if (graph->node_named(feature) >= 0) continue;
    std::vector<std::string_view> known;
    for (const Node& node : graph->nodes()) known.push_back(node.name);
    throw ConfigError("compress.distill.feature: " + unknown_name(graph == &learner
                                                                      ? "layer of the model"
                                                                      : "layer of the teacher",
                                                                  feature, known));
  }
}

ExecutorChoice executor_for(const ExperimentConfig& config, const World& world) {
  std::vector<const Graph*> graphs = {&world.graph};
  if (world.student) graphs.push_back(&world.student->graph);
  if (world.teacher) graphs.push_back(&world.teacher->graph);
  if (world.reference) graphs.push_back(&world.reference->graph);
  std::vector<LossKind> terms = {LossKind::kCrossEntropy};
  if (!config.compress.distill.feature.empty()) terms.push_back(LossKind::kFeatureMatching);
  return choose_executor(config.train.executor, graphs, terms);
}

World::Network make_student(const ExperimentConfig& config, const Dataset& dataset) {
  World::Network student;
  student.graph = graph_for(config.compress.distill.student, dataset);
  const ParameterArena arena = initial_parameters(student.graph, config.seed);
  student.parameters.assign(arena.values().begin(), arena.values().end());
  return student;
}

}  // namespace

World make_world(const ExperimentConfig& config) {
  World world;
  world.dataset = load_dataset(dataset_request(config.data));
  world.partition = make_partition(*world.dataset, partition_request(config));
  world.graph = graph_for(config.model, *world.dataset);
  if (config.model.init.empty()) {
    const ParameterArena arena = initial_parameters(world.graph, config.seed);
    world.parameters.assign(arena.values().begin(), arena.values().end());
  } else {
    world.parameters = initial_weights(config.model.init, world.graph);
  }
  const DistillConfig& distill = config.compress.distill;
  if (distill.has_student()) world.student = make_student(config, *world.dataset);
  const bool is_file =
      distill.teacher != "none" && distill.teacher != "control" && distill.teacher != "warmup";
  if (is_file)
    world.teacher = read_other("compress.distill.teacher", distill.teacher, *world.dataset);
  const CompressConfig& compress = config.compress;
  if (compress.constraints.min_retention && !compress.dense_reference.empty()) {
    world.reference = read_other("compress.dense_reference",
                                 dense_model(compress.dense_reference).string(), *world.dataset);
  }
  if (!distill.feature.empty()) check_feature(distill.feature, world);
  world.executor = executor_for(config, world);
  return world;
}

std::string data_sha256(const World& world) {
  Sha256 digest;
  digest_split(digest, world.dataset->train);
  digest_split(digest, world.dataset->test);
  digest_partition(digest, world.partition);
  for (const std::optional<World::Network>* other : {&world.teacher, &world.reference}) {
    if (!*other) continue;
    digest.update((*other)->graph.to_json());
    digest_values(digest, (*other)->parameters);
  }
  return hex(digest.finish());
}

}  // namespace coppice
