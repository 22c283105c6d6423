// `coppice bench`: figures with machine, instruction set, library versions and config, so that each
// can be quoted.

#include <fmt/core.h>

#include <algorithm>  // for find_if
#include <charconv>   // for from_chars

#include "coordinator/durable_file.h"
#include "core/checkpoint.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "launch/bench/bench.h"
#include "launch/commands.h"
#include "launch/device/edge_world.h"
#include "launch/loaded_model.h"
#include "launch/machine.h"
#include "launch/tables.h"
#include "launch/version.h"
#include "launch/world.h"
#include "models/executor.h"
#include "models/zoo.h"

namespace coppice {
namespace {

// What `bench round` measures without a config: the main job's model and local training.
constexpr std::string_view kRoundConfig = R"(name: bench-round
model: {name: lenet5}
data: {name: "", partition: {scheme: iid, clients: 10}, validation_fraction: 0}
train: {local_epochs: 1, batch_size: 64, optimizer: {name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 1e-5}}
)";

// What `bench sensitivity` and `bench uplink` train without a config.
constexpr std::string_view kTrainedConfig = R"(name: bench-trained
model: {name: lenet5}
data: {name: fashion_mnist, partition: {scheme: dirichlet, alpha: 0.5, clients: 10}}
train: {rounds: 4, local_epochs: 1, batch_size: 64, optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 1e-5}}
)";

void expect_no_config(const BenchArguments& arguments) {
  if (arguments.config.empty()) return;
  throw ConfigError(
      text("bench ", arguments.name, ": takes no config, got '", arguments.config, "'"));
}

BenchReport ceilings(const BenchArguments& arguments) {
  expect_no_config(arguments);
  return bench_ceilings();
}

BenchReport codecs(const BenchArguments& arguments) {
  expect_no_config(arguments);
  return bench_codecs();
}

BenchReport aggregate(const BenchArguments& arguments) {
  expect_no_config(arguments);
  return bench_aggregate();
}

BenchReport latency(const BenchArguments& arguments) {
  expect_no_config(arguments);
  return bench_latency();
}

BenchReport scaling(const BenchArguments& arguments) {
  expect_no_config(arguments);
  return bench_scaling();
}

// "nodes=5000 model=1000000 update=100000"; with fleet=FOLDER and port=P this process is the nodes
// that such a bench starts.
BenchReport gateway_of(const BenchArguments& arguments) {
  GatewayBenchSize size;
  std::string fleet;
  std::int64_t port = 0;
  const std::pair<std::string_view, std::int64_t*> numbers[] = {{"nodes", &size.nodes},
                                                                {"model", &size.model_bytes},
                                                                {"update", &size.update_bytes},
                                                                {"port", &port}};
  std::vector<std::string> given = arguments.overrides;
  if (!arguments.config.empty()) given.push_back(arguments.config);
  for (const std::string& argument : given) {
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (name == "fleet") {
      fleet = value;
      continue;
    }
    const auto* const number = std::find_if(std::begin(numbers), std::end(numbers),
                                            [&](const auto& known) { return known.first == name; });
    const char* const end = value.data() + value.size();
    if (number == std::end(numbers) ||
        std::from_chars(value.data(), end, *number->second).ptr != end || *number->second < 1 ||
        *number->second > (std::int64_t{1} << 30)) {
      throw ConfigError(text("bench gateway: expected nodes=, model= or update= and a number from ",
                             "1, got '", argument.substr(0, 64), "'"));
    }
  }
  if (fleet.empty()) return bench_gateway(size);
  run_bench_fleet(fleet, static_cast<std::uint16_t>(port), size);
  BenchReport report;
  report.subject = "a fleet, which its gateway has measured";
  return report;
}

struct BenchConfig {
  ExperimentConfig config;
  std::string origin;
};

// Without a file the first positional argument may be an override already.
BenchConfig config_of(const BenchArguments& arguments, std::string_view built_in = kRoundConfig) {
  const bool has_file =
      !arguments.config.empty() && arguments.config.find('=') == std::string::npos;
  std::vector<std::string> overrides = arguments.overrides;
  if (!has_file && !arguments.config.empty()) overrides.insert(overrides.begin(), arguments.config);
  if (has_file) return {load_config(arguments.config, overrides), arguments.config};
  return {parse_config(built_in, "the bench's own config", overrides), "built in"};
}

void name_config(BenchReport& report, const BenchConfig& config) {
  report.facts.set("config", config.origin);
  report.facts.set("config_sha256", config_sha256(config.config));
}

BenchReport round_of(const BenchArguments& arguments) {
  const BenchConfig config = config_of(arguments);
  BenchReport report = bench_round(config.config);
  name_config(report, config);
  return report;
}

InputSpec grey_images() {
  InputSpec input;
  input.shape = {1, 28, 28};
  return input;
}

// The config's network for its data, or for grey images.
Graph network_of(const ExperimentConfig& config) {
  if (config.data.name.empty()) return make_model(config.model, {.input = grey_images()});
  return graph_for(config.model, *load_dataset(dataset_request(config.data)));
}

template <BenchReport (*kBench)(const Graph&, const TrainConfig&)>
BenchReport of_network(const BenchArguments& arguments) {
  const BenchConfig config = config_of(arguments);
  const Graph graph = network_of(config.config);
  configure_process_for_training();
  BenchReport report = kBench(graph, config.config.train);
  name_config(report, config);
  return report;
}

// What stands where others have a config and its overrides are the files.
BenchReport runtime_of(const BenchArguments& arguments) {
  if (arguments.config.empty())
    throw ConfigError("bench runtime: expected the model.cpk files to measure");
  std::vector<std::string> files = arguments.overrides;
  files.insert(files.begin(), arguments.config);
  std::vector<NamedProgram> models;
  for (const std::string& file : files) {
    const LoadedModel model(file);
    if (model.program() == nullptr) {
      throw ConfigError(text("bench runtime: ", file,
                             ": a checkpoint; expected the model.cpk that lies beside it"));
    }
    models.push_back({file, *model.program()});
  }
  return bench_runtime(models);
}

// Of a checkpoint's network, or of a config's for its data.
Graph deployed_graph(const BenchArguments& arguments, BenchReport& facts) {
  if (arguments.config.ends_with(".safetensors")) {
    facts.facts.set("checkpoint", arguments.config);
    return checkpoint_from_bytes(read_file(arguments.config), arguments.config).graph;
  }
  const BenchConfig config = config_of(arguments);
  name_config(facts, config);
  return network_of(config.config);
}

BenchReport latency_table(const BenchArguments& arguments) {
  BenchReport named;
  const Graph graph = deployed_graph(arguments, named);
  LatencyTableBench bench = bench_latency_table(graph, arguments.check);
  for (const auto& [key, value] : named.facts.as_object()) bench.report.facts.set(key, value);
  if (arguments.out.empty()) return std::move(bench.report);
  write_file_atomically(arguments.out, to_json(bench.table) + '\n');
  bench.report.facts.set("table", arguments.out);
  return std::move(bench.report);
}

// Of the network of `--model`, whose data the config names, or of the config's own.
template <BenchReport (*kBench)(ExperimentConfig, std::optional<Checkpoint>)>
BenchReport of_trained(const BenchArguments& arguments) {
  const BenchConfig config = config_of(arguments, kTrainedConfig);
  configure_process_for_training();
  std::optional<Checkpoint> model;
  if (!arguments.model.empty()) {
    const LoadedModel loaded(arguments.model);
    if (loaded.checkpoint() == nullptr) {
      throw ConfigError(text("bench ", arguments.name, ": ", arguments.model,
                             ": expected a checkpoint (.safetensors) or an .onnx file"));
    }
    check_fits(loaded, *load_dataset(dataset_request(config.config.data)));
    model = *loaded.checkpoint();
  }
  BenchReport report = kBench(config.config, std::move(model));
  name_config(report, config);
  if (!arguments.model.empty()) report.facts.set("model", arguments.model);
  return report;
}

BenchReport sensitivity(ExperimentConfig config, std::optional<Checkpoint> model) {
  return bench_sensitivity(std::move(config), std::move(model));
}

BenchReport uplink(ExperimentConfig config, std::optional<Checkpoint> model) {
  return bench_uplink(std::move(config), std::move(model));
}

struct Bench {
  std::string_view name;
  BenchReport (*run)(const BenchArguments&);
};
constexpr Bench kBenches[] = {{"aggregate", aggregate},
                              {"ceilings", ceilings},
                              {"codecs", codecs},
                              {"gateway", gateway_of},
                              {"kernels", of_network<bench_kernels>},
                              {"latency", latency},
                              {"lut", latency_table},
                              {"round", round_of},
                              {"runtime", runtime_of},
                              {"scaling", scaling},
                              {"sensitivity", of_trained<sensitivity>},
                              {"step", of_network<bench_step>},
                              {"uplink", of_trained<uplink>}};

const Bench& bench_named(const std::string& name) {
  for (const Bench& bench : kBenches) {
    if (bench.name == name) return bench;
  }
  throw ConfigError(unknown_name("bench", name.substr(0, 64), bench_names()));
}

Json report_json(std::string_view name, const BenchReport& report) {
  Json out;
  out.set("bench", name);
  out.set("subject", report.subject);
  for (const auto& [key, value] : report.facts.as_object()) out.set(key, value);
  Json figures;
  for (const BenchFigure& figure : report.figures) {
    Json entry = figure.spread.to_json();
    entry.set("unit", figure.unit);
    figures.set(figure.name, std::move(entry));
  }
  out.set("figures", std::move(figures));
  out.set("machine", this_machine().to_json());
  out.set("executor_isa", executor_isa("resident"));
  out.set("libraries", executor_library_version());
  out.set("version", kCoppiceVersion);
  return out;
}

// Four significant digits, whatever the size of the figure.
std::string digits(double value) { return fmt::format("{:.4g}", value); }

std::string table_of(const BenchReport& report) {
  if (!report.table.empty()) return report.table;
  Table table({"", "median", "min", "max", ""}, "lrrrl");
  for (const BenchFigure& figure : report.figures) {
    table.add({figure.name, digits(figure.spread.median), digits(figure.spread.min),
               digits(figure.spread.max), figure.unit});
  }
  return table.text();
}

std::string report_text(const BenchReport& report) {
  const Machine machine = this_machine();
  std::string out = report.subject + '\n';
  if (const Json* config = report.facts.find("config")) {
    out += fmt::format("config {} ({})\n", config->as_text(),
                       report.facts.at("config_sha256").as_text().substr(0, 16));
  }
  out += fmt::format("{}, {} cores; {}, {}\n\n{}", machine.cpu, machine.cores,
                     executor_library_version(), executor_isa("resident"), table_of(report));
  return out;
}

}  // namespace

std::vector<std::string_view> bench_names() {
  std::vector<std::string_view> names;
  for (const Bench& bench : kBenches) names.push_back(bench.name);
  return names;
}

int bench_command(const BenchArguments& arguments) {
  const Bench& bench = bench_named(arguments.name);
  if (!arguments.out.empty() && arguments.name != "lut")
    throw ConfigError(
        text("bench ", arguments.name, ": takes no --out, got '", arguments.out, "'"));
  if (!arguments.model.empty() && bench.name != "sensitivity" && bench.name != "uplink") {
    throw ConfigError(
        text("bench ", arguments.name, ": takes no --model, got '", arguments.model, "'"));
  }
  const BenchReport report = bench.run(arguments);
  fmt::print("{}", report_text(report));
  if (arguments.is_json) fmt::print("{}\n", report_json(bench.name, report).dump());
  return 0;
}

}  // namespace coppice
