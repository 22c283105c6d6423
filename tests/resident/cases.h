#pragma once
// Networks with every operation of the resident executor, odd sizes among them, and the widths of
// registers to run them with.

#include <string>
#include <vector>

#include "core/graph.h"
#include "kernels/lanes/lanes.h"
#include "tests/models/input_specs.h"

namespace coppice {

namespace kernels {
extern const LaneKernels kSixteenLaneKernels;
}

// Those of this CPU, and sixteen lanes whatever it has.
inline std::vector<const kernels::LaneKernels*> every_width() {
  std::vector<const kernels::LaneKernels*> all = {&kernels::kSixteenLaneKernels};
  const auto own = kernels::all_lane_kernels();
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

struct ResidentCase {
  std::string name;
  InputSpec input;
  std::vector<LayerSpec> layers;  // without the classifier of 3 classes
};

inline LayerSpec layer_of(const std::string& op, const Attributes& attributes = {}) {
  return {op, "", {}, attributes};
}

inline std::vector<ResidentCase> resident_cases() {
  const LayerSpec flat = layer_of("flatten");
  const LayerSpec relu = layer_of("relu");
  const auto conv = [](std::int64_t out, Pair kernel, Pair stride, Pair padding,
                       std::int64_t groups = 1) {
    return layer_of(
        "conv2d",
        {.out = out, .kernel = kernel, .stride = stride, .padding = padding, .groups = groups});
  };
  return {
      {"logistic", numbers({13}), {}},
      {"mlp",
       numbers({19}),
       {layer_of("linear", {.out = 37}), relu, layer_of("linear", {.out = 9})}},
      {"large_matrix",
       numbers({5}),
       {layer_of("linear", {.out = 541}), relu, layer_of("linear", {.out = 131}), relu}},
      {"normalize",
       numbers({2, 3, 3}),
       {layer_of("normalize", {.mean = 0.4, .deviation = 0.3}), flat}},
      {"normalize_behind_weights",
       numbers({2, 5, 5}),
       {conv(4, {3, 3}, {1, 1}, {0, 0}), layer_of("normalize", {.mean = 0.1, .deviation = 0.5}),
        relu, flat}},
      {"first_convolution", numbers({1, 9, 9}), {conv(6, {5, 5}, {1, 1}, {0, 0}), relu, flat}},
      {"odd_convolutions",
       numbers({3, 7, 5}),
       {conv(5, {3, 2}, {1, 1}, {1, 0}), relu, conv(11, {2, 3}, {1, 1}, {0, 1}), relu, flat}},
      {"strided",
       numbers({2, 9, 8}),
       {conv(4, {3, 3}, {1, 1}, {1, 1}), conv(7, {3, 3}, {2, 2}, {1, 1}), relu,
        conv(6, {2, 3}, {3, 2}, {0, 1}), flat}},
      {"one_by_one_strided",
       numbers({2, 6, 6}),
       {conv(9, {1, 1}, {1, 1}, {0, 0}), conv(5, {1, 1}, {2, 2}, {0, 0}), flat}},
      {"gaps_between_windows",
       numbers({1, 11, 11}),
       {conv(3, {1, 1}, {1, 1}, {0, 0}), conv(4, {2, 2}, {3, 4}, {0, 0}), relu, flat}},
      {"wide_padding",
       numbers({2, 4, 4}),
       {conv(3, {1, 1}, {1, 1}, {0, 0}), conv(5, {3, 3}, {1, 1}, {3, 4}), relu, flat}},
      {"groups",
       numbers({4, 6, 6}),
       {conv(6, {3, 3}, {1, 1}, {1, 1}, 2), relu, conv(9, {3, 3}, {2, 1}, {1, 0}, 3), flat}},
      {"depthwise",
       numbers({5, 7, 7}),
       {conv(10, {1, 1}, {1, 1}, {0, 0}), relu, conv(10, {3, 3}, {2, 2}, {1, 1}, 10), relu,
        conv(6, {1, 1}, {1, 1}, {0, 0}), layer_of("global_avg_pool")}},
      // Channels innermost with any lanes: all are multiples of 16.
      {"wide_convolutions",
       numbers({3, 9, 8}),
       {conv(16, {3, 3}, {1, 1}, {1, 1}), relu, conv(48, {2, 3}, {2, 1}, {1, 0}), relu,
        conv(32, {3, 2}, {1, 2}, {2, 1}), relu, flat}},
      {"wide_pools",
       numbers({1, 13, 13}),
       {layer_of("normalize", {.mean = 0.2, .deviation = 0.7}), conv(32, {3, 3}, {1, 1}, {0, 0}),
        relu, layer_of("max_pool2d", {.kernel = {2, 2}}), conv(16, {5, 5}, {1, 1}, {2, 2}),
        layer_of("leaky_relu", {.slope = 0.1}),
        layer_of("max_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
        layer_of("avg_pool2d", {.kernel = {2, 2}, .stride = {1, 1}}), layer_of("global_avg_pool")}},
      {"wide_pooled",
       numbers({16, 10, 10}),
       {conv(32, {3, 3}, {1, 1}, {1, 0}), relu, layer_of("max_pool2d", {.kernel = {2, 2}}),
        conv(16, {2, 3}, {1, 1}, {0, 0}), layer_of("max_pool2d", {.kernel = {2, 2}}), flat}},
      {"wide_pooled_beside",
       numbers({16, 8, 8}),
       {{"conv2d", "a", {}, {.out = 16, .kernel = {3, 3}, .padding = {1, 1}}},
        {"relu", "b", {}, {}},
        {"max_pool2d", "c", {}, {.kernel = {2, 2}}},
        {"flatten", "d", {}, {}},
        {"flatten", "e", {"b"}, {}},
        {"concat", "f", {"d", "e"}, {}}}},
      {"wide_residual",
       numbers({16, 6, 6}),
       {{"conv2d", "a", {}, {.out = 16, .kernel = {3, 3}, .padding = {1, 1}}},
        {"relu", "b", {}, {}},
        {"conv2d", "c", {}, {.out = 16, .kernel = {3, 3}, .padding = {1, 1}, .bias = false}},
        {"add", "d", {"c", "b", "a"}, {}},
        {"relu", "e", {}, {}},
        {"flatten", "f", {}, {}},
        {"global_avg_pool", "g", {"d"}, {}},
        {"concat", "h", {"f", "g"}, {}}}},
      {"max_pool",
       numbers({2, 9, 9}),
       {conv(4, {3, 3}, {1, 1}, {0, 0}), relu, layer_of("max_pool2d", {.kernel = {2, 2}}), flat}},
      {"overlapping_max_pool",
       numbers({2, 8, 8}),
       {conv(4, {3, 3}, {1, 1}, {1, 1}),
        layer_of("max_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}), flat}},
      {"average_pool",
       numbers({2, 8, 8}),
       {conv(4, {3, 3}, {1, 1}, {1, 1}), layer_of("relu6"),
        layer_of("avg_pool2d", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}), flat}},
      {"leaky_relu",
       numbers({8}),
       {layer_of("linear", {.out = 7}), layer_of("leaky_relu", {.slope = 0.2})}},
      {"group_norm",
       numbers({2, 7, 5}),
       {conv(12, {3, 3}, {1, 1}, {1, 1}), layer_of("group_norm", {.group_size = 4}), relu,
        conv(6, {3, 3}, {2, 2}, {1, 1}), layer_of("group_norm", {.group_size = 3}),
        layer_of("global_avg_pool")}},
      {"residual",
       numbers({3, 6, 6}),
       {{"conv2d", "a", {}, {.out = 8, .kernel = {3, 3}, .padding = {1, 1}}},
        {"relu", "b", {}, {}},
        {"conv2d", "c", {}, {.out = 8, .kernel = {3, 3}, .padding = {1, 1}}},
        {"add", "d", {"c", "b", "a"}, {}},
        {"relu", "e", {}, {}},
        {"flatten", "f", {}, {}}}},
      {"concat",
       numbers({2, 5, 5}),
       {{"conv2d", "a", {}, {.out = 3, .kernel = {2, 2}}},
        {"relu", "b", {}, {}},
        {"conv2d", "c", {"a"}, {.out = 5, .kernel = {1, 1}}},
        {"concat", "d", {"b", "c", "b"}, {}},
        {"flatten", "e", {}, {}}}},
      {"dropout",
       numbers({17}),
       {layer_of("linear", {.out = 21}), relu, layer_of("dropout", {.rate = 0.4})}},
  };
}

}  // namespace coppice
