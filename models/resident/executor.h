#pragma once
// The executor for small static graphs: hand-planned loops on the CPU over one arena, one batch
// after another without allocation. Internal to models/.

#include <memory>  // for unique_ptr
#include <string>  // for string

#include "core/graph.h"
#include "core/local_plan.h"
#include "kernels/lanes/lanes.h"
#include "models/executor.h"

namespace coppice::resident {

// Empty if the executor can run `graph`, else the layer that it has no loops for.
std::string unsupported_graph(const Graph& graph);

// Empty if every loss term of `plan` can be computed, else which one cannot and why.
std::string refused_term(const LocalPlan& plan);

// Throws KernelError for an unsupported graph.
std::unique_ptr<Executor> make_resident_executor(
    Graph graph, const kernels::LaneKernels& kernels = kernels::lane_kernels());

}  // namespace coppice::resident
