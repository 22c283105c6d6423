#include "models/zoo/layer_list.h"

namespace coppice::zoo {

Graph make_mlp(const ModelConfig& config, const ModelRequest& request) {
  if (request.input.type != ElementType::kFloat32)
    fail_input("mlp", "images or vectors of numbers", request.input);
  LayerList layers;
  add_normalization(layers, request);
  if (request.input.shape.size() > 1) layers.add("flatten", "flatten");
  int ordinal = 0;
  for (const std::int64_t units : config.hidden) {
    const std::string number = std::to_string(++ordinal);
    layers.add("linear", "hidden" + number, {.out = units});
    layers.add("relu", "relu" + number);
  }
  if (config.dropout > 0.0) layers.add("dropout", "dropout", {.rate = config.dropout});
  layers.add("linear", "classifier", {.out = request.classes});
  return Graph::build(request.input, layers.take());
}

}  // namespace coppice::zoo
