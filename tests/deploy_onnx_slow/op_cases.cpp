#include "tests/deploy_onnx_slow/op_cases.h"

#include "tests/models/input_specs.h"

namespace coppice {
namespace {

Graph grouped_image() {
  return Graph::build(
      numbers({2, 9, 8}),
      {{"normalize", "normalize", {}, {.mean = 0.25, .deviation = 0.125}},
       {"conv2d",
        "conv",
        {},
        {.out = 8, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .groups = 2}},
       {"group_norm", "norm", {}, {.group_size = 4}},
       {"relu6", "relu6", {}, {}},
       {"avg_pool2d", "pool", {}, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}},
       {"flatten", "flatten", {}, {}},
       {"linear", "classifier", {}, {.out = 5}}});
}

// Squeeze and excitation beside a residual sum and a concatenation.
Graph branched_image() {
  return Graph::build(
      numbers({3, 8, 7}),
      {{"conv2d", "stem", {}, {.out = 4, .kernel = {3, 3}, .padding = {1, 1}, .bias = false}},
       {"batch_norm", "stem_norm", {}, {.epsilon = 1e-3}},
       {"leaky_relu", "leaky", {}, {.slope = 0.2}},
       {"conv2d", "one", {"leaky"}, {.out = 4, .kernel = {1, 1}}},
       {"batch_norm", "one_norm", {"one"}, {}},
       {"add", "sum", {"one", "one_norm", "leaky"}, {}},
       {"max_pool2d", "max", {"sum"}, {.kernel = {3, 2}, .stride = {2, 2}, .padding = {1, 0}}},
       {"batch_norm", "late_norm", {"max"}, {}},
       {"global_avg_pool", "squeeze", {"late_norm"}, {}},
       {"linear", "excite", {}, {.out = 4, .bias = false}},
       {"sigmoid", "gate", {}, {}},
       {"channel_scale", "scaled", {"late_norm", "gate"}, {}},
       {"concat", "joined", {"scaled", "late_norm"}, {}},
       {"max_pool2d", "last_pool", {"joined"}, {.kernel = {2, 2}}},
       {"flatten", "flatten", {"last_pool"}, {}},
       {"tanh", "tanh", {}, {}},
       {"slice", "head", {"tanh"}, {.begin = 1, .length = 5}},
       {"concat", "vector", {"head", "gate"}, {}},
       {"layer_norm", "norm", {}, {}},
       {"dropout", "dropout", {}, {.rate = 0.5}},
       {"linear", "classifier", {}, {.out = 6}},
       {"dropout", "last", {}, {.rate = 0.25}}});
}

Graph sequence() {
  return Graph::build(ids(7),
                      {{"embedding", "embedding", {}, {.out = 8, .vocabulary = 11}},
                       {"positions", "positions", {}, {}},
                       {"layer_norm", "norm", {}, {}},
                       {"attention", "causal", {}, {.heads = 2, .causal = true}},
                       {"attention", "full", {"norm"}, {.bias = false, .heads = 3, .head_size = 5}},
                       {"concat", "joined", {"causal", "full"}, {}},
                       {"linear", "up", {}, {.out = 12}},
                       {"gelu", "gelu", {}, {}},
                       {"linear", "down", {}, {.out = 6, .bias = false}},
                       {"relu", "relu", {}, {}},
                       {"last_step", "last", {}, {}},
                       {"linear", "classifier", {}, {.out = 4}}});
}

Graph only_flatten() {
  return Graph::build(numbers({2, 2, 1}),
                      {{"dropout", "dropout", {}, {}}, {"flatten", "flatten", {}, {}}});
}

Graph nothing_to_compute() {
  return Graph::build(numbers({4}), {{"dropout", "dropout", {}, {.rate = 0.1}}});
}

}  // namespace

std::vector<OpCase> op_cases() {
  return {{"grouped", grouped_image()},
          {"branched", branched_image()},
          {"sequence", sequence(), 11},
          {"flatten", only_flatten()},
          {"nothing", nothing_to_compute()}};
}

}  // namespace coppice
