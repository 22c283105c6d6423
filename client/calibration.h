#pragma once
// A client's part in choosing activation ranges: it runs samples of its own through the model and
// counts what the nodes put out. Nothing but the counts leaves it.

#include <span>    // for span
#include <string>  // for string
#include <vector>  // for vector

#include "models/executor.h"

namespace coppice {

struct Histograms {
  std::vector<float> counts;  // kHistogramBins a node, node after node; each at most 2^24
  bool is_finite = true;      // whether every output was
};

// Runs `indices` of `source` through `model` in batches and counts the outputs of `nodes`.
Histograms count_activations(Executor& executor, const ModelView& model, const SampleSource& source,
                             std::span<const std::int64_t> indices,
                             std::span<const std::string> nodes);

}  // namespace coppice
