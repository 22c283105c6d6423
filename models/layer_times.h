#pragma once
// Where a training step of the resident executor spends its time.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "core/graph.h"

namespace coppice {

// A layer, or what the plan puts in between: a grid, a change of layout.
struct LayerTimes {
  std::string name;       // the node's
  std::string operation;  // "conv2d", "conv2d to lanes"
  std::string layout;     // innermost in its output: "samples", "channels"
  // Floating-point operations of a pass over the samples by the formula, two a multiply-add; what a
  // partial register computes for nobody does not count, nor do skipped zeros make it less.
  std::int64_t forward_operations = 0;
  std::int64_t backward_operations = 0;
  // Seconds that the thread has had a core, one a run. Backward is without the optimizer's step.
  std::vector<double> forward_seconds;
  std::vector<double> backward_seconds;  // empty: nothing above is trained
};

struct StepTimes {
  std::int64_t samples = 0;  // that went through: the batch, or one block of a larger one
  std::vector<LayerTimes> layers;
};

// `runs` times forward and backward of generated samples with the graph's initial parameters, after
// one run that warms up. Throws KernelError for a graph that the executor cannot run.
StepTimes time_step(const Graph& graph, std::int64_t batch_size, int runs);

}  // namespace coppice
