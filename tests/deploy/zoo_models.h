#pragma once
// Models of the zoo with random weights, and on the grids of integers, for tests.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/calibration.h"
#include "algorithms/quantize.h"
#include "core/checkpoint.h"
#include "core/parameter_arena.h"
#include "models/executor.h"
#include "models/zoo.h"
#include "tests/models/input_specs.h"
#include "tests/models/sample_arrays.h"

namespace coppice {

inline Checkpoint checkpoint_of(Graph graph, std::uint64_t seed = 1) {
  Checkpoint checkpoint;
  checkpoint.graph = std::move(graph);
  const ParameterArena arena = initial_parameters(checkpoint.graph, seed);
  checkpoint.parameters.assign(arena.values().begin(), arena.values().end());
  return checkpoint;
}

inline Graph zoo(const char* name, Shape input) {
  ModelConfig config;
  config.name = name;
  ModelRequest request;
  request.input = numbers(std::move(input));
  return make_model(config, request);
}

inline std::vector<float> random_samples(const Graph& graph, std::int64_t count) {
  return SampleArrays::random(count, element_count(graph.input().shape), 2, 3).samples();
}

// Grids from histograms of `samples`, weights of `bits`.
inline void quantize(Checkpoint& checkpoint, const std::vector<float>& samples, int bits) {
  const Graph& graph = checkpoint.graph;
  const std::span<const float> all(checkpoint.parameters);
  QuantPlan plan;
  for (const std::string& name : quantized_parameters(graph)) {
    const auto index = static_cast<std::size_t>(graph.parameter_named(name));
    const ParameterSpec& parameter = graph.parameters()[index];
    plan.weights.push_back(weight_quant(parameter,
                                        all.subspan(static_cast<std::size_t>(parameter.offset),
                                                    static_cast<std::size_t>(parameter.size())),
                                        bits));
  }
  const auto executor = make_executor("auto", graph);
  const std::vector<std::string> nodes = quantized_nodes(graph);
  executor->observe({.parameters = all}, samples, nodes,
                    [&](std::size_t node, std::span<const float> values) {
                      std::vector<std::int64_t> counts(kHistogramBins);
                      count_values(values, counts);
                      plan.activations.push_back(activation_quant(nodes[node], counts));
                    });
  checkpoint.plan = std::move(plan);
}

}  // namespace coppice
