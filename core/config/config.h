#pragma once
// The configuration of an experiment: YAML and `key=value` overrides in, ExperimentConfig out, and
// back. Three layers: defaults, then the file, then the overrides in order. Everything wrong throws
// ConfigError of one line that begins with "file:line:column: " or "command line: ". Pure apart
// from reading the file; any thread may call it.

#include <filesystem>   // for path
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

#include "core/experiment.h"

namespace coppice {

// Reads and checks `path` (at most 1 MiB). An override's value is YAML: "train.rounds=5",
// "model.hidden=[32, 16]", "compress.prune={pruner: magnitude, target: 0.4}"; an empty one is empty
// text. Relative paths inside a config are relative to the working folder.
ExperimentConfig load_config(const std::filesystem::path& path,
                             std::span<const std::string> overrides = {});

// The same for YAML that is already in memory; `name` stands for the file in messages.
ExperimentConfig parse_config(std::string_view yaml, std::string_view name,
                              std::span<const std::string> overrides = {});

// All keys with their values, in the order of the reference. Loads to an equal config.
std::string resolved_yaml(const ExperimentConfig& config);

// SHA-256 of resolved_yaml(): two configs that mean the same have the same, however they were
// written.
std::string config_sha256(const ExperimentConfig& config);

// Every key with type, range, default and sentence: for a terminal (`coppice list config`), and
// docs/config.md.
std::string reference_text();
std::string reference_markdown();

}  // namespace coppice
