#include "models/zoo/layer_list.h"

namespace coppice::zoo {
namespace {

constexpr std::int64_t kGroupSize = 8;
constexpr int kStages = 3;
constexpr int kBlocks = 3;  // a stage

std::string add_convolution(LayerList& layers, const std::string& name, std::int64_t out,
                            std::int64_t kernel, std::int64_t stride, const std::string& input) {
  layers.add("conv2d", name,
             {.out = out,
              .kernel = {kernel, kernel},
              .stride = {stride, stride},
              .padding = {kernel / 2, kernel / 2},
              .bias = false},
             {input});
  return layers.add("group_norm", name + "_norm", {.group_size = kGroupSize});
}

// Two 3x3 convolutions and the shortcut around them: the input itself, or a projection when the
// shape changes.
std::string add_block(LayerList& layers, const std::string& name, std::int64_t in, std::int64_t out,
                      std::int64_t stride, const std::string& input) {
  add_convolution(layers, name + ".conv1", out, 3, stride, input);
  const std::string inner = layers.add("relu", name + ".relu1");
  const std::string residual = add_convolution(layers, name + ".conv2", out, 3, 1, inner);
  const bool keeps_shape = in == out && stride == 1;
  const std::string shortcut =
      keeps_shape ? input : add_convolution(layers, name + ".shortcut", out, 1, stride, input);
  layers.add("add", name + ".add", {}, {residual, shortcut});
  return layers.add("relu", name + ".relu2");
}

}  // namespace

// He et al. 2016, section 4.2 (n = 3), with GroupNorm (Wu & He 2018) of a fixed group size instead
// of BatchNorm, whose statistics would have to travel, and projection shortcuts.
Graph make_resnet20(const ModelConfig& config, const ModelRequest& request) {
  if (!is_image(request.input))
    fail_input("resnet20", "images {channels, height, width}", request.input);
  const std::int64_t width = config.width == 0 ? 16 : config.width;
  if (width < kGroupSize || width % kGroupSize != 0 || width > 4096) {
    throw ConfigError(text("model.width of resnet20: expected a multiple of ", kGroupSize,
                           " up to 4096, got ", width));
  }
  LayerList layers;
  const std::string normalized = add_normalization(layers, request);
  add_convolution(layers, "stem", width, 3, 1, normalized);
  std::string last = layers.add("relu", "stem_relu");
  std::int64_t in = width;
  for (int stage = 0; stage < kStages; ++stage) {
    const std::int64_t out = width << stage;
    for (int block = 0; block < kBlocks; ++block) {
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      last =
          add_block(layers, text("stage", stage + 1, ".block", block + 1), in, out, stride, last);
      in = out;
    }
  }
  layers.add("global_avg_pool", "pool");
  layers.add("linear", "classifier", {.out = request.classes});
  return Graph::build(request.input, layers.take());
}

}  // namespace coppice::zoo
