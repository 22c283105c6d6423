#include "launch/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>   // for find
#include <functional>  // for function

#include "core/error.h"
#include "core/text.h"
#include "deploy/runtime/engine.h"  // for kMaxThreads
#include "launch/device/device_commands.h"
#include "launch/version.h"
#include "models/executor.h"

namespace coppice {
namespace {

constexpr const char* kOverridesText = "key=value, applied after the file: train.rounds=5 seed=2";
constexpr const char* kFooter =
    "A first run:           coppice run configs/digits_mlp.yaml\n"
    "On two cores:          mpirun -np 2 coppice run configs/fashion_mnist.yaml\n"
    "All keys of a config:  coppice list config\n"
    "More on a command:     coppice run --help";
constexpr const char* kDataText = "Data set, by name (coppice list datasets)";
constexpr const char* kRootText = "Where its files are, as data.root";
constexpr const char* kConstraintsText =
    "max_bytes=22KiB,max_latency=1ms,...: keys of compress.constraints";
constexpr const char* kTableText =
    "Latency table of the device (coppice bench lut): decides how weights are stored";
constexpr const char* kRanksText = "Threads as ranks, without MPI";

CLI::Range threads_range() { return {std::int64_t{1}, runtime::kMaxThreads}; }

// A sub-command as CLI11 sees it, and what it fills.
struct Entry {
  CLI::App* app;
  std::function<Command()> arguments;
};

// Owns the arguments of all sub-commands while CLI11 fills one of them.
class Parser {
 public:
  Parser() {
    app_.name("coppice");
    app_.set_version_flag("--version",
                          text("coppice ", kCoppiceVersion, " (", executor_library_version(), ")"));
    app_.get_formatter()->column_width(24);
    add_run();
    add_serve();
    entries_.push_back({devices_.add_edge(app_), [this] { return devices_.edge(); }});
    add_sweep();
    add_inspect();
    add_list();
    add_infer();
    add_validate();
    add_export();
    add_optimize();
    add_bench();
    entries_.push_back({devices_.add_pki(app_), [this] { return devices_.pki(); }});
    add_netproxy();
    entries_.push_back(
        {app_.add_subcommand("doctor",
                             "Say what this machine has, and what is missing and how to get it"),
         [] { return DoctorArguments{}; }});
    app_.footer(kFooter);  // last: sub-commands added later would inherit it
  }

  CommandLine parse(std::span<const std::string> arguments) {
    if (arguments.empty()) return {std::nullopt, app_.help(), 2};
    check_command_name(arguments.front());
    if (arguments.size() > 1 && arguments.front() == "pki") check_pki_action(arguments[1]);
    std::vector<std::string> reversed(arguments.rbegin(),
                                      arguments.rend());  // CLI11 takes from the back
    try {
      app_.parse(std::move(reversed));
    } catch (const CLI::CallForVersion& version) {
      return {std::nullopt, std::string(version.what()) + '\n', 0};
    } catch (const CLI::CallForHelp&) {
      return {std::nullopt, app_.help(), 0};
    } catch (const CLI::ParseError& error) {
      throw ConfigError(text(error.what(), "; see ", command_named_so_far(), " --help"));
    }
    for (const Entry& entry : entries_) {
      if (entry.app->parsed()) return {entry.arguments(), {}, 0};
    }
    throw ConfigError("expected a command; see coppice --help");
  }

 private:
  void add_run() {
    CLI::App* app = app_.add_subcommand("run", "Run an experiment, alone or under mpirun");
    app->add_option("CONFIG", run_.config, "YAML file")->required();
    app->add_option("OVERRIDES", run_.overrides, kOverridesText);
    app->add_option("--out", run_.out,
                    "Run folder (default runs/NAME); it must not exist, except with --resume");
    app->add_flag("--resume", run_.is_resumed, "Go on with the run in --out");
    app->add_flag("--json", run_.is_json, "Print summary.json as the last line");
    app->add_option("--ranks", run_.ranks, kRanksText)->check(CLI::Range(1, 256));
    entries_.push_back({app, [this] { return run_; }});
  }

  void add_serve() {
    CLI::App* app = app_.add_subcommand(
        "serve", "Run an experiment whose clients are devices that come over TLS");
    app->add_option("CONFIG", serve_.config, "YAML file")->required();
    app->add_option("OVERRIDES", serve_.overrides, kOverridesText);
    app->add_option("--pki", serve_.pki, "Folder of `coppice pki init`")->required();
    app->add_option("--listen", serve_.listen, "Address and port (default 0.0.0.0:7443)");
    app->add_option("--port-file", serve_.port_file,
                    "Write the port here once devices may come; for --listen ADDRESS:0");
    app->add_option("--devices", serve_.devices,
                    "Clients that are devices, as 0-4,7; ranks simulate the others (default all)");
    app->add_option("--out", serve_.out,
                    "Run folder (default runs/NAME); it must not exist, except with --resume");
    app->add_flag("--resume", serve_.is_resumed, "Go on with the run in --out");
    app->add_flag("--json", serve_.is_json, "Print summary.json as the last line");
    app->add_option("--ranks", serve_.ranks, kRanksText)->check(CLI::Range(1, 256));
    entries_.push_back({app, [this] { return serve_; }});
  }

  void add_sweep() {
    CLI::App* app = app_.add_subcommand(
        "sweep", "Run every combination of some values; mean and deviation over seeds");
    app->add_option("CONFIG", sweep_.config, "YAML file")->required();
    app->add_option("OVERRIDES", sweep_.overrides,
                    "key=a,b,c: each of the values; a value in [] or {} is one: seed=1,2,3 "
                    "model.hidden=[32],[64,64]");
    app->add_option("--out", sweep_.out,
                    "Folder of the runs (default runs/NAME-sweep); run again to go on with it");
    app->add_flag("--json", sweep_.is_json, "Print sweep.json as the last line");
    app->add_option("--ranks", sweep_.ranks, kRanksText)->check(CLI::Range(1, 256));
    entries_.push_back({app, [this] { return sweep_; }});
  }

  void add_inspect() {
    CLI::App* app = app_.add_subcommand(
        "inspect",
        "Show the layers and facts of a config, a run folder, a checkpoint or an artefact");
    app->add_option(
           "SUBJECT", inspect_.subject,
           "YAML file, run folder, .safetensors or .cpk file that Coppice made, .onnx file")
        ->required();
    app->add_option("OVERRIDES", inspect_.overrides, "Of a config: key=value");
    app->add_flag("--json", inspect_.is_json, "One line of JSON instead of tables");
    entries_.push_back({app, [this] { return inspect_; }});
  }

  void add_list() {
    CLI::App* app = app_.add_subcommand(
        "list", "List what this version knows: models, data sets, strategies, ...");
    app->add_option("KIND", list_.kind, join(list_kinds()))->required();
    entries_.push_back({app, [this] { return list_; }});
  }

  void add_infer() {
    CLI::App* app =
        app_.add_subcommand("infer", "Run a model on a data set or an array: logits, accuracy");
    app->add_option("ARTEFACT", infer_.artefact, ".cpk, .safetensors or .onnx file")->required();
    CLI::Option* data =
        app->add_option("--data", infer_.data, "Data set, by name (coppice list datasets)");
    app->add_option("--root", infer_.root, "Where its files are, as data.root")->needs(data);
    app->add_option("--split", infer_.split, "test or train")
        ->check(CLI::IsMember({"test", "train"}))
        ->needs(data);
    app->add_option("OVERRIDES", infer_.overrides,
                    "With --data: other keys of the data section, data.text_split=book");
    app->add_option("--input", infer_.input,
                    "NPY file instead, N x the input's shape: fp32 (images: in [0, 1], NCHW), or "
                    "uint8 to divide by 255")
        ->excludes(data);
    app->add_option("--out", infer_.out,
                    "Write the fp32 logits here, an NPY file with a row a sample");
    app->add_option("--threads", infer_.threads,
                    "Threads that share the work on a sample of a .cpk; the logits are the same")
        ->check(threads_range());
    app->callback([this] {
      if (infer_.data.empty() == infer_.input.empty())
        throw CLI::RequiredError("one of --data and --input");
    });
    entries_.push_back({app, [this] { return infer_; }});
  }

  void add_export() {
    CLI::App* app =
        app_.add_subcommand("export", "Write a checkpoint's model.cpk and model.onnx again");
    app->add_option("ARTEFACT", export_.artefact, ".safetensors or run folder")->required();
    app->add_option("--out", export_.out,
                    "Folder to write to (default: where the checkpoint lies)");
    app->add_option("--table", export_.table, kTableText);
    app->add_option("--blocks", export_.blocks,
                    "Keep only this share of each layer's 4x4 blocks, the largest, without "
                    "training: to measure what it would bring")
        ->check(CLI::Range(0.001, 1.0));
    entries_.push_back({app, [this] { return export_; }});
  }
  void add_validate() {
    CLI::App* app = app_.add_subcommand(
        "validate", "Measure a finished model on this machine and judge it: exit code 0 or 3");
    app->add_option("ARTEFACT", validate_.artefact,
                    ".cpk, .safetensors or .onnx file, or run folder")
        ->required();
    app->add_option("--data", validate_.data, kDataText)->required();
    app->add_option("--root", validate_.root, kRootText);
    app->add_option("--split", validate_.split, "test or train")
        ->check(CLI::IsMember({"test", "train"}));
    app->add_option("--constraints", validate_.constraints, kConstraintsText);
    app->add_option("--dense", validate_.dense,
                    "Checkpoint that min_retention compares with (default: dense.safetensors "
                    "beside ARTEFACT)");
    app->add_option("--runs", validate_.runs, "Timed runs")->check(CLI::Range(1, 10'000'000));
    app->add_option("--threads", validate_.threads,
                    "Threads that share the work on a sample that is timed")
        ->check(threads_range());
    app->add_option("--table", validate_.table, kTableText);
    app->add_option("OVERRIDES", validate_.overrides, "Other keys of the data section");
    app->add_flag("--json", validate_.is_json, "Print the report as the last line");
    entries_.push_back({app, [this] { return validate_; }});
  }

  void add_optimize() {
    CLI::App* app = app_.add_subcommand(
        "optimize", "The whole pipeline on this machine alone: prune, quantize, distil, export");
    app->add_option(
           "MODEL", optimize_.model,
           "Network of the zoo, trained on the spot, or an fp32 .safetensors or .onnx file")
        ->required();
    app->add_option("OVERRIDES", optimize_.overrides, kOverridesText);
    app->add_option("--data", optimize_.data, kDataText)->required();
    app->add_option("--root", optimize_.root, kRootText);
    app->add_option("--constraints", optimize_.constraints, kConstraintsText);
    app->add_option("--out", optimize_.out, "Run folder (default runs/optimize)");
    app->add_flag("--resume", optimize_.is_resumed, "Go on with the run in --out");
    app->add_flag("--json", optimize_.is_json, "Print summary.json as the last line");
    entries_.push_back({app, [this] { return optimize_; }});
  }

  void add_bench() {
    CLI::App* app = app_.add_subcommand(
        "bench",
        "Measure this machine: ceilings (arithmetic, memory), codecs, aggregate (sums of updates), "
        "gateway (nodes over TLS), "
        "step or round (training), latency (null rounds), lut (a latency table of a network's "
        "layers), sensitivity (predicted against measured losses), scaling (clients, ranks, "
        "memory), runtime (a model.cpk layer by layer), uplink (what an update's bytes buy, codec "
        "by codec)");
    app->add_option("NAME", bench_.name, join(bench_names()))->required();
    app->add_option(
        "CONFIG", bench_.config,
        "round, step, kernels, lut, sensitivity, uplink: YAML file to measure instead of LeNet-5 "
        "(but for the last two on synthetic images); lut: or a .safetensors checkpoint; runtime: a "
        "model.cpk");
    app->add_option(
        "OVERRIDES", bench_.overrides,
        "Of a config: key=value; runtime: more files; gateway: nodes=, model=, update=");
    app->add_option(
        "--model", bench_.model,
        "sensitivity, uplink: a .safetensors or .onnx file instead of a network trained "
        "now");
    app->add_option("--out", bench_.out, "lut: write the table to this file");
    app->add_option("--check", bench_.check,
                    "lut: random networks whose measured and predicted times are compared")
        ->check(CLI::Range(0, 1000));
    app->add_flag("--json", bench_.is_json, "Print the figures as one line of JSON, last");
    entries_.push_back({app, [this] { return bench_; }});
  }

  void add_netproxy() {
    CLI::App* app = app_.add_subcommand(
        "netproxy", "Stand between devices and `coppice serve` as a bad network: late, lossy, cut");
    app->add_option("--listen", netproxy_.listen, "Address and port that devices connect to")
        ->required();
    app->add_option("--to", netproxy_.to, "The coordinator's HOST:PORT")->required();
    app->add_option(
        "--scenario", netproxy_.scenario,
        "YAML file (docs/netproxy.md, configs/net); without one bytes pass as they are");
    app->add_option("--seed", netproxy_.seed, "Of everything random (default 1)")
        ->check(CLI::NonNegativeNumber);  // what CLI11 would wrap around
    app->add_option("--port-file", netproxy_.port_file,
                    "Write the port here once it listens; for --listen ADDRESS:0");
    entries_.push_back({app, [this] { return netproxy_; }});
  }

  void check_command_name(const std::string& name) const {
    if (name.starts_with('-')) return;
    std::vector<std::string> owned;
    for (const Entry& entry : entries_) owned.push_back(entry.app->get_name());
    const std::vector<std::string_view> known(owned.begin(), owned.end());
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw ConfigError(unknown_name("command", name.substr(0, 64), known));
    }
  }

  std::string command_named_so_far() const {
    for (const Entry& entry : entries_) {
      if (entry.app->parsed()) return "coppice " + entry.app->get_name();
    }
    return "coppice";
  }

  CLI::App app_{"Coppice: federated training that ends with a network small enough for its target"};
  std::vector<Entry> entries_;
  RunArguments run_;
  ServeArguments serve_;
  SweepArguments sweep_;
  InspectArguments inspect_;
  ListArguments list_;
  InferArguments infer_;
  ValidateArguments validate_;
  ExportArguments export_;
  OptimizeArguments optimize_;
  BenchArguments bench_;
  NetproxyArguments netproxy_;
  DeviceCommands devices_;
};

}  // namespace

CommandLine parse_command_line(std::span<const std::string> arguments) {
  return Parser().parse(arguments);
}

}  // namespace coppice
