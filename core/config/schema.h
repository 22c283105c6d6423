#pragma once
// Every key of a config, declared once: its path, type, range, unit, sentence and the field of
// ExperimentConfig it fills. Validation, overrides, the resolved config and the reference all come
// from this one table. Internal to core/config; what others call is core/config/config.h.
// Immutable; any thread may read it.

#include <functional>   // for function
#include <map>          // for map
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

#include "core/config/yaml_tree.h"
#include "core/experiment.h"

namespace coppice {

struct ConfigKey {
  std::string path;      // "train.optimizer.lr"
  std::string expected;  // "a number above 0"
  std::string unit;      // "rounds", or empty
  std::string sentence;
  std::function<void(const YamlNode&, ExperimentConfig&)> read;  // throws YamlError
  std::function<std::string(const ExperimentConfig&)> write;     // as YAML
};

// Keys of a section stand together; the order is that of the resolved config.
std::span<const ConfigKey> config_keys();

// What a top-level section is about; empty for a path that is none.
std::string_view section_sentence(std::string_view section);

// Where each key that is not at its default was set: "experiment.yaml:3:8" or "command line".
using KeyPlaces = std::map<std::string, std::string, std::less<>>;

// Applies the tree of one document whose root is the section `prefix` ("" for a file) or the key of
// that path. `place` turns a mark into the beginning of a message. Throws ConfigError.
void apply_tree(const YamlNode& root, const std::string& prefix,
                const std::function<std::string(YamlMark)>& place, ExperimentConfig& config,
                KeyPlaces& places);

}  // namespace coppice
