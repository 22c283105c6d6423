#pragma once
// The networks that can be named in a config. A model is a function from what the data looks like
// to a Graph: one file in zoo/ and one line in models.def.

#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string_view>  // for string_view

#include "core/experiment.h"
#include "core/graph.h"

namespace coppice {

// What the data asks of a model.
struct ModelRequest {
  InputSpec input;
  std::int64_t classes = 10;    // logits
  std::int64_t vocabulary = 0;  // of token inputs
  double input_mean =
      0.5;  // of the normalisation node: (x - mean) / deviation maps [0, 1] to [-1, 1]
  double input_deviation = 0.5;
};

struct ModelInfo {
  std::string_view name;
  std::string_view sentence;
};
std::span<const ModelInfo> known_models();

// The network of `config`: config.layers if there are any, else the zoo's config.name. Throws
// ConfigError for an unknown name, an option the model does not have, or data it cannot take,
// saying what it needs.
Graph make_model(const ModelConfig& config, const ModelRequest& request);

}  // namespace coppice
