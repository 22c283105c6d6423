// `coppice inspect`: what is in a config, a run folder or a checkpoint, without running anything.

#include <fmt/core.h>

#include <filesystem>  // for path
#include <optional>    // for optional

#include "core/checkpoint.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/run_files.h"
#include "launch/tables.h"
#include "launch/world.h"

namespace coppice {
namespace {

using Path = std::filesystem::path;

struct Output {
  std::string text;  // for people
  Json json;         // for scripts
};

std::string input_text(const InputSpec& input) {
  std::string out =
      text(shape_text(input.shape), input.type == ElementType::kInt32 ? " ids" : " fp32");
  if (!input.label_names.empty() && input.label_names.size() <= 20)
    out += text("; labels ", join(input.label_names));
  return out;
}

Graph graph_of_config(const ExperimentConfig& config) {
  return graph_for(config.model, *load_dataset(dataset_request(config.data)));
}

Output inspect_config(const InspectArguments& arguments) {
  const ExperimentConfig config = load_config(arguments.subject, arguments.overrides);
  const Graph graph = graph_of_config(config);
  Output out;
  out.text = fmt::format("{}: {} on {}\ninput  {}\n\n{}", config.name,
                         config.model.layers.empty() ? config.model.name : "own network",
                         config.data.name, input_text(graph.input()), layer_table(graph));
  out.json = layers_json(graph);
  out.json.set("config_sha256", config_sha256(config));
  return out;
}

Checkpoint read_checkpoint(const Path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  if (!read_safetensors(bytes, path.string()).metadata.contains("graph")) {
    throw DataError(
        text(path.string(),
             ": holds tensors but no network: not a checkpoint that Coppice made; weights "
             "from elsewhere go into a config as model.init"));
  }
  return checkpoint_from_bytes(bytes, path.string());
}

Output inspect_checkpoint(const Path& path) {
  const Checkpoint checkpoint = read_checkpoint(path);
  Json json;
  json.set("round", checkpoint.round);
  json.set("mask_epoch", checkpoint.mask_epoch);
  json.set("model_sha256", model_sha256(checkpoint));
  Json provenance{Json::Object{}};
  for (const auto& [key, value] : checkpoint.provenance) provenance.set(key, value);
  Json::Array state;
  for (const auto& [name, values] : checkpoint.server_state) state.emplace_back(name);

  Table facts({"round", std::to_string(checkpoint.round)}, "ll");
  facts.add({"mask epoch", text(checkpoint.mask_epoch, " (shrinks that went into it)")});
  facts.add({"model sha256", json.at("model_sha256").as_text()});
  facts.add({"input", input_text(checkpoint.graph.input())});
  for (const auto& [key, value] : checkpoint.provenance) facts.add({key, value});
  for (const auto& [name, values] : checkpoint.server_state) {
    facts.add({"server state",
               text(name, ", ", with_commas(static_cast<std::int64_t>(values.size())), " values")});
  }
  json.set("provenance", std::move(provenance));
  json.set("server_state", std::move(state));
  const Json layers = layers_json(checkpoint.graph);
  for (const auto& [key, value] : layers.as_object()) json.set(key, value);
  return {facts.text() + '\n' + layer_table(checkpoint.graph), std::move(json)};
}

// The network that the run began with; nothing if its data is not on this machine to ask for the
// input's shape.
std::optional<Graph> dense_graph_of(const Path& run) {
  const Path dense = run / "model" / "dense.safetensors";
  if (std::filesystem::exists(dense)) return read_checkpoint(dense).graph;
  try {
    return graph_of_config(load_config(run / "config.resolved.yaml"));
  } catch (const DataError&) {
    return std::nullopt;
  }
}

Output inspect_unfinished(const Path& run) {
  const std::vector<Json> metrics =
      std::filesystem::exists(run / "metrics.jsonl") ? read_metrics(run) : std::vector<Json>{};
  Output out;
  out.text = fmt::format(
      "not finished: {} rounds are committed\ngo on with: coppice run {} --out {} --resume\n",
      metrics.size(), (run / "config.resolved.yaml").string(), run.string());
  if (!metrics.empty()) out.text += "last round: " + metrics.back().dump() + '\n';
  out.json.set("is_finished", false);
  out.json.set("committed_rounds", static_cast<std::int64_t>(metrics.size()));
  return out;
}

Output inspect_run(const Path& run) {
  if (!std::filesystem::exists(run / "config.resolved.yaml")) {
    throw DataError(
        text(run.string(), ": a folder, but not of a run: it has no config.resolved.yaml"));
  }
  if (!std::filesystem::exists(run / "summary.json")) return inspect_unfinished(run);
  const Json summary = read_summary(run);
  const Graph graph = read_checkpoint(run / "model" / "model.safetensors").graph;
  const std::optional<Graph> dense = dense_graph_of(run);
  const Graph* before = dense ? &*dense : nullptr;
  Output out;
  out.text = fmt::format("{}: {} rounds, seed {}, model {}\n\n{}\n{}", summary.at("name").as_text(),
                         summary.at("rounds").as_integer(), summary.at("seed").as_integer(),
                         summary.at("model_sha256").as_text().substr(0, 16),
                         closing_table(summary, read_metrics(run)), layer_table(graph, before));
  if (dense && dense->parameter_count() != graph.parameter_count())
    out.text += '\n' + kept_table(graph, *dense);
  if (!dense)
    out.text +=
        "\nthe data set is not on this machine, so the dense network's units are not known\n";
  out.json.set("is_finished", true);
  out.json.set("summary", summary);
  const Json layers = layers_json(graph, before);
  for (const auto& [key, value] : layers.as_object()) out.json.set(key, value);
  return out;
}

Output inspect(const InspectArguments& arguments) {
  const Path subject = arguments.subject;
  const bool is_config = subject.extension() == ".yaml" || subject.extension() == ".yml";
  if (!is_config && !arguments.overrides.empty()) {
    throw ConfigError(
        text(arguments.subject, ": key=value can be given with a config (.yaml) only"));
  }
  if (std::filesystem::is_directory(subject)) return inspect_run(subject);
  if (!std::filesystem::exists(subject))
    throw DataError(arguments.subject + ": there is no such file or folder");
  if (is_config) return inspect_config(arguments);
  if (subject.extension() == ".safetensors") return inspect_checkpoint(subject);
  throw DataError(arguments.subject +
                  ": expected a run folder, a config (.yaml) or a checkpoint (.safetensors)");
}

}  // namespace

int inspect_command(const InspectArguments& arguments) {
  const Output output = inspect(arguments);
  fmt::print("{}", arguments.is_json ? output.json.dump() + '\n' : output.text);
  return 0;
}

}  // namespace coppice
