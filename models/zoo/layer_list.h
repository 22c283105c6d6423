#pragma once
// What the zoo's files share: a list of layers that grows from the last one. Internal to models/.

#include <string>   // for string
#include <utility>  // for move
#include <vector>   // for vector

#include "core/error.h"
#include "core/experiment.h"
#include "core/graph.h"
#include "core/text.h"
#include "models/zoo.h"

namespace coppice::zoo {

class LayerList {
 public:
  // Appends a layer and returns its name, to be an input of later ones. Without `inputs` it reads
  // the layer before.
  std::string add(std::string op, std::string name, const Attributes& attributes = {},
                  std::vector<std::string> inputs = {}) {
    layers_.push_back({std::move(op), name, std::move(inputs), attributes});
    return name;
  }

  std::vector<LayerSpec> take() { return std::move(layers_); }

 private:
  std::vector<LayerSpec> layers_;
};

// The first layer of models on real numbers.
inline std::string add_normalization(LayerList& layers, const ModelRequest& request) {
  return layers.add("normalize", "normalize",
                    {.mean = request.input_mean, .deviation = request.input_deviation});
}

inline bool is_image(const InputSpec& input) {
  return input.type == ElementType::kFloat32 && input.shape.size() == 3;
}

[[noreturn]] inline void fail_input(std::string_view model, std::string_view needs,
                                    const InputSpec& input) {
  throw ConfigError(text("model ", model, " needs ", needs, "; the data has samples of ",
                         shape_text(input.shape), input.type == ElementType::kInt32 ? " ids" : ""));
}

#define COPPICE_MODEL(name, options, sentence) \
  Graph make_##name(const ModelConfig& config, const ModelRequest& request);
#include "models/models.def"
#undef COPPICE_MODEL

}  // namespace coppice::zoo
