#include "models/zoo/layer_list.h"

namespace coppice::zoo {

// LeCun et al. 1998 as it is trained today: ReLU, max pooling, no padding, dense second
// convolution.
Graph make_lenet5(const ModelConfig&, const ModelRequest& request) {
  constexpr std::int64_t kSmallest = 16;  // two 5x5 convolutions and two poolings leave 1x1
  const InputSpec& input = request.input;
  if (!is_image(input) || input.shape[1] < kSmallest || input.shape[2] < kSmallest) {
    fail_input("lenet5", "images {channels, height, width} of at least 16x16 (28x28 as published)",
               input);
  }
  const Pair kernel{5, 5};
  const Pair window{2, 2};
  LayerList layers;
  add_normalization(layers, request);
  layers.add("conv2d", "conv1", {.out = 6, .kernel = kernel});
  layers.add("relu", "relu1");
  layers.add("max_pool2d", "pool1", {.kernel = window});
  layers.add("conv2d", "conv2", {.out = 16, .kernel = kernel});
  layers.add("relu", "relu2");
  layers.add("max_pool2d", "pool2", {.kernel = window});
  layers.add("flatten", "flatten");
  layers.add("linear", "fc1", {.out = 120});
  layers.add("relu", "relu3");
  layers.add("linear", "fc2", {.out = 84});
  layers.add("relu", "relu4");
  layers.add("linear", "classifier", {.out = request.classes});
  return Graph::build(input, layers.take());
}

}  // namespace coppice::zoo
