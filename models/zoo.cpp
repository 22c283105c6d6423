#include "models/zoo.h"

#include <vector>  // for vector

#include "core/error.h"
#include "core/text.h"
#include "models/zoo/layer_list.h"

namespace coppice {
namespace {

struct Entry {
  ModelInfo info;
  std::string_view options;
  Graph (*make)(const ModelConfig&, const ModelRequest&);
};

constexpr Entry kModels[] = {
#define COPPICE_MODEL(name, options, sentence) {{#name, sentence}, options, zoo::make_##name},
#include "models/models.def"
#undef COPPICE_MODEL
};

// An option counts as set when it differs from its default.
void refuse_other_options(const ModelConfig& config, std::string_view model,
                          std::string_view options) {
  static const ModelConfig kDefaults;
  const auto refuse = [&](std::string_view option, bool is_set) {
    if (!is_set || options.find(option) != std::string_view::npos) return;
    throw ConfigError(text("model ", model, " has no option ", option, "; it has ",
                           options.empty() ? std::string_view("none") : options));
  };
  refuse("hidden", config.hidden != kDefaults.hidden);
  refuse("width", config.width != kDefaults.width);
  refuse("depth", config.depth != kDefaults.depth);
  refuse("heads", config.heads != kDefaults.heads);
  refuse("dropout", config.dropout != kDefaults.dropout);
}

// Logits are {classes}, or {steps, classes} when every position has a label.
void check_output(std::string_view model, const Graph& graph, const ModelRequest& request) {
  const std::int64_t labels = request.input.labels_per_sample;
  const Shape expected = labels == 1 ? Shape{request.classes} : Shape{labels, request.classes};
  if (graph.output().shape != expected) {
    throw ConfigError(text("model ", model, ": the data asks for logits of ", shape_text(expected),
                           ", layer '", graph.output().name, "' gives ",
                           shape_text(graph.output().shape)));
  }
}

Graph make_named(const ModelConfig& config, const ModelRequest& request) {
  std::vector<std::string_view> names;
  for (const Entry& entry : kModels) {
    names.push_back(entry.info.name);
    if (entry.info.name != config.name) continue;
    refuse_other_options(config, entry.info.name, entry.options);
    return entry.make(config, request);
  }
  throw ConfigError(unknown_name("model", config.name, names));
}

}  // namespace

std::span<const ModelInfo> known_models() {
  static const std::vector<ModelInfo> kInfos = [] {
    std::vector<ModelInfo> infos;
    for (const Entry& entry : kModels) infos.push_back(entry.info);
    return infos;
  }();
  return kInfos;
}

Graph make_model(const ModelConfig& config, const ModelRequest& request) {
  const bool is_own = !config.layers.empty();
  if (is_own) refuse_other_options(config, "layers", "");
  Graph graph = is_own ? Graph::build(request.input, config.layers) : make_named(config, request);
  check_output(is_own ? "layers" : std::string_view(config.name), graph, request);
  return graph;
}

}  // namespace coppice
