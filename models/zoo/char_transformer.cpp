#include "models/zoo/layer_list.h"

namespace coppice::zoo {
namespace {

constexpr std::int64_t kFeedForward = 4;  // hidden units a feature of the width
constexpr std::int64_t kMaxDepth = 256;

std::int64_t option_or(std::int64_t value, std::int64_t when_zero) {
  return value == 0 ? when_zero : value;
}

// Dropout where a branch joins the residual stream; nothing when the rate is zero.
std::string add_residual(LayerList& layers, const std::string& name, double rate,
                         const std::string& stream, std::string branch) {
  if (rate > 0.0) branch = layers.add("dropout", name + "_dropout", {.rate = rate});
  return layers.add("add", name + "_add", {}, {stream, branch});
}

std::string add_block(LayerList& layers, const std::string& name, const ModelConfig& config,
                      std::int64_t width, const std::string& stream) {
  layers.add("layer_norm", name + ".norm1", {}, {stream});
  const std::string attended = layers.add("attention", name + ".attention",
                                          {.heads = option_or(config.heads, 4), .causal = true});
  const std::string middle =
      add_residual(layers, name + ".attention", config.dropout, stream, attended);
  layers.add("layer_norm", name + ".norm2", {}, {middle});
  layers.add("linear", name + ".up", {.out = kFeedForward * width});
  layers.add("gelu", name + ".gelu");
  const std::string fed = layers.add("linear", name + ".down", {.out = width});
  return add_residual(layers, name + ".feed", config.dropout, middle, fed);
}

}  // namespace

// A decoder with learned positions and the norm before each branch (Radford et al. 2019).
Graph make_char_transformer(const ModelConfig& config, const ModelRequest& request) {
  const InputSpec& input = request.input;
  if (input.type != ElementType::kInt32 || input.shape.size() != 1 ||
      input.labels_per_sample != input.shape[0] || request.vocabulary < 1) {
    fail_input("char_transformer", "sequences of ids with a vocabulary and one label a position",
               input);
  }
  const std::int64_t width = option_or(config.width, 64);
  const std::int64_t depth = option_or(config.depth, 2);
  if (depth < 1 || depth > kMaxDepth) {
    throw ConfigError(
        text("model.depth of char_transformer: expected 1..", kMaxDepth, ", got ", depth));
  }
  LayerList layers;
  layers.add("embedding", "embedding", {.out = width, .vocabulary = request.vocabulary});
  std::string stream = layers.add("positions", "positions");
  for (std::int64_t block = 1; block <= depth; ++block) {
    stream = add_block(layers, text("block", block), config, width, stream);
  }
  layers.add("layer_norm", "norm", {}, {stream});
  layers.add("linear", "classifier", {.out = request.classes});
  return Graph::build(input, layers.take());
}

}  // namespace coppice::zoo
