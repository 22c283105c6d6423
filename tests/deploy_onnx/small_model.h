#pragma once
// A checkpoint of two layers and its plan, small enough that every byte of its file can be tried.

#include <cstdint>

#include "core/checkpoint.h"
#include "tests/models/input_specs.h"

namespace coppice {

// {1, 2, 2} -> conv2d (2 channels) -> relu -> flatten -> linear (3).
inline Checkpoint small_checkpoint() {
  Checkpoint out;
  InputSpec input = numbers({1, 2, 2});
  input.label_names = {"one", "two", "three"};
  out.graph = Graph::build(input, {{"conv2d", "conv", {}, {.out = 2}},
                                   {"relu", "relu", {}, {}},
                                   {"flatten", "flatten", {}, {}},
                                   {"linear", "fc", {}, {.out = 3}}});
  for (std::int64_t i = 0; i < out.graph.parameter_count(); ++i)
    out.parameters.push_back(static_cast<float>(i % 7 - 3) / 2.0F);
  out.round = 12;
  out.provenance["seed"] = "7";
  return out;
}

inline Checkpoint small_quantized_checkpoint() {
  Checkpoint out = small_checkpoint();
  out.plan.weights = {{"conv.weight", 8, {0.25F, 0.5F}}, {"fc.weight", 4, {0.5F, 0.5F, 0.5F}}};
  out.plan.activations = {{"input", 1.0F / 255.0F, 0}, {"relu", 0.125F, 3}};
  return out;
}

}  // namespace coppice
