#pragma once
// What every executor asks of its arguments. Internal to models/. All throw ConfigError saying what
// was expected and what came.

#include <cstddef>      // for size_t
#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

#include "core/graph.h"
#include "models/executor.h"

namespace coppice {

// The graph has nodes, and its logits are {classes}, or {steps, classes} with a label a step.
void check_logits(std::string_view executor, const Graph& graph);

// `got` floats of `what` are `expected` ones.
void check_size(std::string_view what, std::size_t got, std::int64_t expected);

// A request is whole, its plan is one that the executor does not refuse, and its sizes and numbers
// are those of the executor's graph.
void check_request(const Executor& executor, const TrainRequest& request);

// Empty if `plan` keeps no state of a client between rounds, which no executor does so far.
std::string refused_state(std::string_view executor, const LocalPlan& plan);

// `samples` are a whole number of the graph's inputs.
void check_samples(const Graph& graph, std::span<const float> samples);

}  // namespace coppice
