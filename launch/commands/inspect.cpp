// `coppice inspect`: what is in a config, a run folder, a checkpoint, a .cpk or an ONNX file.
// Nothing is trained; a model that the runtime has is run for a second to see where its time goes.

#include <fmt/core.h>

#include <filesystem>  // for path
#include <optional>    // for optional

#include "core/checkpoint.h"
#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "core/text.h"
#include "deploy/onnx/import.h"
#include "deploy/onnx/summary.h"
#include "deploy/runtime/cpk.h"
#include "launch/allotment_table.h"
#include "launch/artefact_tables.h"
#include "launch/artefacts.h"
#include "launch/commands.h"
#include "launch/device/edge_world.h"
#include "launch/layer_uses.h"
#include "launch/loaded_model.h"
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

void append(Json& to, const Json& from) {
  for (const auto& [key, value] : from.as_object()) to.set(key, value);
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

// As the runtime has it, with times; for what it does not run, by the plan and without them.
LayerUses uses_of(const Checkpoint& checkpoint) {
  const Deployable form = deployable(checkpoint);
  if (!form.program) return layer_uses(checkpoint.graph, checkpoint.plan);
  LayerUses uses = layer_uses(*form.program);
  profile_layers(*form.program, uses);
  return uses;
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
  const LayerUses uses = uses_of(checkpoint);
  append(json, layers_json(checkpoint.graph, nullptr, &uses));
  return {facts.text() + '\n' + layer_table(checkpoint.graph, nullptr, &uses), std::move(json)};
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
  const Checkpoint model = read_checkpoint(run / "model" / "model.safetensors");
  const Graph& graph = model.graph;
  const LayerUses uses = uses_of(model);
  const std::optional<Graph> dense = dense_graph_of(run);
  const Graph* before = dense ? &*dense : nullptr;
  const std::vector<Json> metrics = read_metrics(run);
  Output out;
  out.text = fmt::format("{}: {} rounds, seed {}, model {}\n\n{}\n{}", summary.at("name").as_text(),
                         summary.at("rounds").as_integer(), summary.at("seed").as_integer(),
                         summary.at("model_sha256").as_text().substr(0, 16),
                         closing_table(summary, metrics), layer_table(graph, before, &uses));
  const Json allotment = last_allotment(metrics);
  if (const std::string table = allotment_table(allotment); !table.empty())
    out.text += '\n' + table;
  if (dense && dense->parameter_count() != graph.parameter_count())
    out.text += '\n' + kept_table(graph, *dense);
  if (!dense)
    out.text +=
        "\nthe data set is not on this machine, so the dense network's units are not known\n";
  out.json.set("is_finished", true);
  out.json.set("summary", summary);
  out.json.set("allotment", allotment);
  append(out.json, layers_json(graph, before, &uses));
  return out;
}

Output inspect_cpk(const Path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  const LoadedModel model(path.string());
  const runtime::Program& program = *model.program();
  LayerUses uses = layer_uses(program);
  profile_layers(program, uses);
  Json json;
  json.set("file_bytes", static_cast<std::int64_t>(bytes.size()));
  json.set("body_bytes", runtime::body_bytes(program));
  json.set("file_sha256", sha256_hex(bytes));
  json.set("model_sha256", hex(program.model_sha256));
  json.set("activation_bytes", runtime::Engine(program).peak_activation_bytes());

  Table facts({"bytes", with_commas(json.at("file_bytes").as_integer())}, "ll");
  facts.add({"body", with_commas(json.at("body_bytes").as_integer()) +
                         " bytes before they are coded or deflated"});
  facts.add({"file sha256", json.at("file_sha256").as_text()});
  facts.add({"model sha256", json.at("model_sha256").as_text()});
  facts.add({"input", input_text(model.input())});
  facts.add({"activations", with_commas(json.at("activation_bytes").as_integer()) + " bytes"});
  Json properties{Json::Object{}};
  for (const auto& [key, value] : program.properties) {
    facts.add({key, value});
    if (properties.find(key) == nullptr) properties.set(key, value);
  }
  json.set("properties", std::move(properties));
  append(json, program_json(program, uses));
  return {facts.text() + '\n' + program_table(program, uses), std::move(json)};
}

Output inspect_onnx(const Path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  const OnnxSummary summary = read_onnx(bytes, path.string());
  Json json;
  json.set("file_bytes", static_cast<std::int64_t>(bytes.size()));
  append(json, onnx_json(summary));
  std::string text = onnx_text(summary);
  try {
    const Checkpoint checkpoint = from_onnx(bytes, path.string());
    const LayerUses uses = uses_of(checkpoint);
    append(json, layers_json(checkpoint.graph, nullptr, &uses));
    text += "\nas a network of Coppice's:\n" + layer_table(checkpoint.graph, nullptr, &uses);
  } catch (const DataError& error) {
    json.set("not_imported", describe(error));
    text += '\n' + describe(error) + '\n';
  }
  return {std::move(text), std::move(json)};
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
  if (subject.extension() == ".cpk") return inspect_cpk(subject);
  if (subject.extension() == ".onnx") return inspect_onnx(subject);
  throw DataError(arguments.subject +
                  ": expected a run folder, a config (.yaml), a checkpoint (.safetensors) or a "
                  "model (.cpk, .onnx)");
}

}  // namespace

int inspect_command(const InspectArguments& arguments) {
  const Output output = inspect(arguments);
  fmt::print("{}", arguments.is_json ? output.json.dump() + '\n' : output.text);
  return 0;
}

}  // namespace coppice
