// `coppice sweep`: one run for every combination of values, each in a folder of its own. Which runs
// there are, which are done and which are gone on with, rank 0 decides before the first; all ranks
// then take part in each.

#include <fmt/core.h>

#include <filesystem>  // for path
#include <optional>    // for optional

#include "coordinator/durable_file.h"
#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/federation.h"
#include "launch/ranks.h"
#include "launch/run_files.h"
#include "launch/sweep_controls.h"
#include "launch/sweep_plan.h"
#include "launch/terminal.h"

namespace coppice {
namespace {

using Path = std::filesystem::path;

constexpr int kRoot = 0;
constexpr std::int64_t kMaxFileBytes = std::int64_t{1} << 26;

struct SweepRun {
  std::string name;  // of its folder
  ExperimentConfig config;
  bool is_done = false;
  bool is_resumed = false;
};

struct Sweep {
  Path out;
  std::vector<SweptKey> keys;
  std::vector<Combination> all;
  std::vector<SweepRun> controls;  // that several runs compare themselves with; before them
  std::vector<SweepRun> runs;      // one a combination
  Json identity;                   // what another sweep into the same folder would differ in
};

std::string text_of_file(const Path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxFileBytes);
  return {bytes.begin(), bytes.end()};
}

Json identity_of(const std::string& config_path, const ExperimentConfig& base,
                 const std::vector<SweptKey>& keys) {
  Json swept{Json::Object{}};
  for (const SweptKey& key : keys) swept.set(key.key, Json::array(key.values));
  Json out;
  out.set("config", config_path);
  out.set("config_sha256", config_sha256(base));
  out.set("keys", std::move(swept));
  return out;
}

// Throws ConfigError if the folder holds another sweep, or something else.
void check_folder(const Sweep& sweep) {
  const Path file = sweep.out / "sweep.json";
  if (!std::filesystem::exists(sweep.out)) return;
  if (!std::filesystem::exists(file)) {
    if (std::filesystem::is_directory(sweep.out) && std::filesystem::is_empty(sweep.out)) return;
    throw ConfigError(
        text(sweep.out.string(), ": exists and is not a sweep's folder; choose another --out"));
  }
  const Json written = Json::parse(text_of_file(file), file.string());
  for (const char* key : {"config_sha256", "keys"}) {
    if (written.at(key) == sweep.identity.at(key)) continue;
    throw ConfigError(text(sweep.out.string(), ": holds another sweep, of ",
                           written.at("config").as_text(), " with ", written.at("keys").dump(),
                           "; this one is of ", sweep.identity.at("config").as_text(), " with ",
                           sweep.identity.at("keys").dump(), "; choose another --out"));
  }
}

// What is left to do of a run whose folder may be there already.
void look_at_folder(const Path& folder, SweepRun& run) {
  const Path resolved = folder / "config.resolved.yaml";
  run.is_resumed = std::filesystem::exists(resolved);
  run.is_done = run.is_resumed && std::filesystem::exists(folder / "summary.json");
  if (run.is_done && text_of_file(resolved) != resolved_yaml(run.config)) {
    throw ConfigError(text(folder.string(), ": was run with another config than this sweep's"));
  }
}

Sweep plan_sweep(const SweepArguments& arguments) {
  Sweep sweep;
  sweep.keys = parse_sweep(arguments.overrides);
  sweep.all = combinations(sweep.keys);
  const ExperimentConfig base = load_config(arguments.config);
  sweep.out = arguments.out.empty() ? Path("runs") / (base.name + "-sweep") : Path(arguments.out);
  sweep.identity = identity_of(arguments.config, base, sweep.keys);
  check_folder(sweep);
  std::vector<ExperimentConfig> configs;  // all before the first run: a bad value fails at once
  for (const Combination& combination : sweep.all)
    configs.push_back(load_config(arguments.config, combination.overrides()));
  for (SharedControl& control : share_controls(configs, sweep.out))
    sweep.controls.push_back({std::move(control.name), std::move(control.config)});
  for (std::size_t i = 0; i < configs.size(); ++i)
    sweep.runs.push_back({folder_name(sweep.all[i], sweep.keys), std::move(configs[i])});
  for (std::vector<SweepRun>* runs : {&sweep.controls, &sweep.runs}) {
    for (SweepRun& run : *runs) look_at_folder(sweep.out / run.name, run);
  }
  return sweep;
}

void write_sweep(const Sweep& sweep, const Json& json) {
  std::filesystem::create_directories(sweep.out);
  write_file_atomically(sweep.out / "sweep.json", json.pretty());
}

// Runs as the other ranks need them.
Json::Array runs_json(const std::vector<SweepRun>& runs) {
  Json::Array out;
  for (const SweepRun& run : runs) {
    Json entry;
    entry.set("name", run.name);
    entry.set("config", resolved_yaml(run.config));
    entry.set("is_done", run.is_done);
    entry.set("is_resumed", run.is_resumed);
    out.push_back(std::move(entry));
  }
  return out;
}

std::string encode_runs(const Sweep& sweep) {
  Json out;
  out.set("out", sweep.out.string());
  out.set("controls", runs_json(sweep.controls));
  out.set("runs", runs_json(sweep.runs));
  return out.dump();
}

std::vector<SweepRun> decode_runs(const Json& runs) {
  std::vector<SweepRun> out;
  for (const Json& entry : runs.as_array()) {
    out.push_back({entry.at("name").as_text(),
                   parse_config(entry.at("config").as_text(), "config of rank 0"),
                   entry.at("is_done").as_bool(), entry.at("is_resumed").as_bool()});
  }
  return out;
}

Sweep decode_sweep(const std::string& json) {
  Sweep sweep;
  const Json plan = Json::parse(json, "sweep of rank 0");
  sweep.out = plan.at("out").as_text();
  sweep.controls = decode_runs(plan.at("controls"));
  sweep.runs = decode_runs(plan.at("runs"));
  return sweep;
}

struct SharedSweep {
  std::optional<Sweep> value;
  int exit_code = 0;  // without a value, on ranks other than 0: what rank 0 failed with
};

// Rank 0 plans, the others get the plan; if planning throws, rank 0 throws on.
SharedSweep shared_sweep(Communicator& communicator, const SweepArguments& arguments) {
  std::vector<std::uint8_t> bytes;
  const auto broadcast = [&](const std::string& message) {
    bytes.assign(message.begin(), message.end());
    communicator.broadcast(bytes, kRoot);
  };
  if (communicator.rank() == kRoot) {
    try {
      Sweep sweep = plan_sweep(arguments);
      if (!std::filesystem::exists(sweep.out / "sweep.json")) write_sweep(sweep, sweep.identity);
      broadcast(encode_runs(sweep));
      return {std::move(sweep), 0};
    } catch (const std::exception& error) {
      broadcast(std::to_string(exit_code(error)));
      throw;
    }
  }
  communicator.broadcast(bytes, kRoot);
  const std::string message(bytes.begin(), bytes.end());
  if (!message.starts_with('{')) return {std::nullopt, std::stoi(message)};
  return {decode_sweep(message), 0};
}

// One of the sweep's runs, or controls; the exit code as run_federation's. What fails on rank 0 is
// thrown with the run's name.
int run_one(Communicator& communicator, const Sweep& sweep, const std::vector<SweepRun>& runs,
            std::size_t index) {
  const SweepRun& run = runs[index];
  const bool is_root = communicator.rank() == kRoot;
  if (is_root) {
    fmt::print("\n[{}/{}] {}{}\n", index + 1, runs.size(), run.name,
               run.is_done      ? ": done before"
               : run.is_resumed ? ": going on"
                                : "");
    std::fflush(stdout);
  }
  if (run.is_done) return 0;
  TerminalObserver observer;
  const RunOptions options{sweep.out / run.name, run.is_resumed};
  try {
    return run_federation(communicator, run.config, options, is_root ? &observer : nullptr)
        .exit_code;
  } catch (const BrokenStep&) {
    std::throw_with_nested(BrokenStep("sweep: " + run.name));
  } catch (const std::exception&) {
    std::throw_with_nested(Error("sweep: " + run.name));
  }
}

// sweep.json of a finished sweep: what it was, a line a run, a line a group.
Json report(const Sweep& sweep, const std::vector<Json>& summaries,
            const std::vector<SweepGroup>& groups) {
  Json::Array runs;
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    Json values{Json::Object{}};
    for (const auto& [key, value] : sweep.all[i].values) values.set(key, value);
    Json entry;
    entry.set("folder", sweep.runs[i].name);
    entry.set("values", std::move(values));
    for (const std::string_view field : sweep_fields())
      entry.set(std::string(field), summaries[i].at(field));
    runs.push_back(std::move(entry));
  }
  Json out = sweep.identity;
  out.set("is_finished", true);
  out.set("runs", std::move(runs));
  out.set("groups", sweep_json(groups));
  return out;
}

void finish(const SweepArguments& arguments, const Sweep& sweep) {
  std::vector<Json> summaries;
  for (const SweepRun& run : sweep.runs) summaries.push_back(read_summary(sweep.out / run.name));
  const std::vector<SweepGroup> groups = gather_sweep(sweep.keys, sweep.all, summaries);
  const Json json = report(sweep, summaries, groups);
  write_sweep(sweep, json);
  fmt::print("\n{}sweep    {}\n", sweep_table(groups), (sweep.out / "sweep.json").string());
  if (arguments.is_json) fmt::print("{}\n", json.dump());
}

}  // namespace

int sweep_command(const SweepArguments& arguments, const ProcessArguments& process) {
  return with_ranks(arguments.ranks, process, [&](Communicator& communicator) {
    const SharedSweep sweep = shared_sweep(communicator, arguments);
    if (!sweep.value) return sweep.exit_code;
    for (const std::vector<SweepRun>* runs : {&sweep.value->controls, &sweep.value->runs}) {
      for (std::size_t i = 0; i < runs->size(); ++i) {
        const int code = run_one(communicator, *sweep.value, *runs, i);
        const bool has_failed = code != 0 && code != 3;  // 3: done, constraints not met
        if (has_failed) return code;
      }
    }
    if (communicator.rank() == kRoot) finish(arguments, *sweep.value);
    return 0;
  });
}

}  // namespace coppice
